"""One reservation on one time axis, as text and as SVG."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from uuid import UUID

import click

from ops.desk import Desk, code, pass_desk, reads
from ops.logs import Line, at_of, since_option
from ops.output import OUTCOMES, shown
from reservations.application.cases import find_reservation
from reservations.application.ports import Attempt
from reservations.domain.codes import display
from reservations.domain.facts import PROVIDER_OF, Status
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import Reservation

_LONGEST_GAP = timedelta(seconds=10)  # of the axis: a longer pause is drawn as this one
_AXIS = 16  # columns of text
_COLUMNS = 80
_ALIKE = 4  # requests in a row, from which those in the middle are one bar
_GOOD, _BAD, _OPEN, _PLAIN, _WAIT = "#1a7f37", "#cf222e", "#9a6700", "#57606a", "#8c959f"
_COLOUR_WITHOUT_ANSWER = {"NotSent": _BAD, "NoAnswer": _OPEN}
_COLOUR_OF = {
    Status.SUCCEEDED: _GOOD,
    Status.DECLINED: _BAD,
    Status.VOIDED: _BAD,
    Status.CANCELLED: _PLAIN,
}
_BAD_WORDS = ("refused", "rejected", "declined", "failed", "bounced")
_OPEN_WORDS = ("unknown", "contradiction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A part of the axis: an instant, or a bar of a colour, in a lane."""

    at: datetime
    lane: str
    label: str
    colour: str = _PLAIN
    lasted: timedelta = timedelta(0)
    answer: str = ""  # to a request: equal ones in a row are joined

    @property
    def end(self) -> datetime:
        return self.at + self.lasted


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    title: str
    marks: Sequence[Mark]  # by time
    now: datetime
    next_check_at: datetime | None

    def position(self, at: datetime) -> timedelta:
        """The place of a moment on the axis, where long pauses are shortened."""
        place, last = timedelta(0), self.marks[0].at
        for moment in self._moments:
            if moment > at:
                break
            place += min(moment - last, _LONGEST_GAP)
            last = moment
        return place + min(at - last, _LONGEST_GAP)

    @property
    def _moments(self) -> list[datetime]:
        return sorted({moment for mark in self.marks for moment in (mark.at, mark.end)})

    @property
    def length(self) -> timedelta:
        return max(self.position(self._moments[-1]), timedelta(milliseconds=1))

    @property
    def next_check(self) -> str:
        if self.next_check_at is None:
            return "nothing is due"
        left = (self.next_check_at - self.now).total_seconds()
        due = f"in {left:.0f} s" if left >= 0 else f"overdue by {-left:.0f} s"
        return f"next check {due}, at {shown(self.next_check_at)}"


def trace_of(
    reservation: Reservation,
    *,
    history: Iterable[HistoryEntry],
    attempts: Sequence[Attempt],
    lines: Iterable[Line],
    now: datetime,
) -> Trace:
    """Put everything on one axis: history, requests to providers, and hints with their waits."""
    marks = [*_of_history(history), *_of_attempts(reservation, attempts), *_of_hints(lines)]
    status = reservation.standing.public_status
    return Trace(
        title=f"{display(reservation.code)}  {status}",
        marks=list(_shortened(sorted(marks, key=lambda mark: mark.at))),
        now=now,
        next_check_at=reservation.next_check_at,
    )


def _shortened(marks: Iterable[Mark]) -> Iterator[Mark]:
    """Join requests that got one answer in a row, as in an outage, and the hints between them."""
    run: list[Mark] = []  # from its first request on
    for mark in marks:
        if mark.lane != "hint" and run and mark.answer != run[0].answer:
            yield from _joined(run)
            run = []
        if run or mark.answer:
            run.append(mark)
        else:
            yield mark
    yield from _joined(run)


def _joined(run: Sequence[Mark]) -> Iterator[Mark]:
    requests = [mark for mark in run if mark.answer]
    if len(requests) < _ALIKE:
        yield from run
        return
    first, second, *between, last = requests
    end = max(mark.end for mark in (second, *between))
    yield first
    yield replace(second, label=f"{len(requests) - 2} more alike", lasted=end - second.at)
    yield from run[run.index(last) :]


def _of_history(history: Iterable[HistoryEntry]) -> Iterator[Mark]:
    for entry in history:
        lane = "mail" if entry.event.startswith("mail.") else "history"
        actor = "" if entry.actor == "system" else f" by {entry.actor}"
        yield Mark(at=entry.at, lane=lane, label=entry.event + actor, colour=_colour(entry.event))


def _colour(event: str) -> str:
    subject, _, rest = event.partition(".")
    # A mail about a failure may have been sent well.
    told = rest.partition(".")[0] if subject == "mail" else event
    if told.endswith(".over"):
        return _PLAIN
    if any(word in told for word in _BAD_WORDS):
        return _BAD
    return _OPEN if any(word in told for word in _OPEN_WORDS) else _PLAIN


def _of_attempts(reservation: Reservation, attempts: Sequence[Attempt]) -> Iterator[Mark]:
    """The last answer about a call has the status of the call. Evidence keeps no status of the others."""
    last = {each.call_key: each for each in attempts if each.outcome not in _COLOUR_WITHOUT_ANSWER}
    for attempt in attempts:
        call = reservation.facts.find(attempt.call_key)
        outcome = OUTCOMES.get(attempt.outcome, attempt.outcome)
        status = f" {attempt.http_status}" if attempt.http_status else ""
        status += f" {attempt.code}" if attempt.code else ""
        answer = f"{attempt.verb}{status} {outcome}"
        colour = _COLOUR_WITHOUT_ANSWER.get(attempt.outcome, _PLAIN)
        if call and attempt is last.get(attempt.call_key):
            answer, colour = f"{answer}: {call.status}", _COLOUR_OF.get(call.status, _OPEN)
        yield Mark(
            at=attempt.sent_at,
            lane=PROVIDER_OF[call.operation].value if call else "provider",
            label=f"{answer}, {attempt.elapsed_ms} ms",
            answer=answer,
            colour=colour,
            lasted=timedelta(milliseconds=attempt.elapsed_ms),
        )


def _of_hints(lines: Iterable[Line]) -> Iterator[Mark]:
    """A hint waits in the outbox, then in its queue. The lines of its work have both waits."""
    seen: set[str] = set()
    for line in lines:
        if "queue_ms" not in line or line["message_id"] in seen:
            continue
        seen.add(line["message_id"])
        outbox, queue = (timedelta(milliseconds=line[k]) for k in ("outbox_ms", "queue_ms"))
        # A UUIDv7 begins with the milliseconds since 1970.
        made = datetime.fromtimestamp((UUID(line["message_id"]).int >> 80) / 1000, UTC)
        if made > at_of(line):
            continue
        step = str(line.get("function_name", "")).rpartition("Functio")[0].partition("-")[2]
        waited = f"{outbox.total_seconds():.1f}+{queue.total_seconds():.1f} s"
        yield Mark(
            at=made, lane="hint", label=f"{step} {waited}", colour=_WAIT, lasted=outbox + queue
        )


def as_text(trace: Trace) -> Iterator[str]:
    """A line for each mark: its time, lane, place on the axis and meaning."""
    first, last = trace.marks[0].at, None
    yield f"{trace.title} from {shown(first)}, in seconds. Hint: outbox+queue"
    for mark in trace.marks:
        if last is not None and mark.at - last > _LONGEST_GAP:
            yield f"{'⋯':>9}"
        begin, end = (
            int(trace.position(moment) / trace.length * (_AXIS - 1))
            for moment in (mark.at, mark.end)
        )
        bar = ("▒" if mark.lane == "hint" else "█") * (end - begin + 1) if mark.lasted else "│"
        axis = f"{' ' * begin}{bar}".ljust(_AXIS)
        offset = f"{(mark.at - first).total_seconds():+9.2f}"
        line = f"{offset}  {mark.lane:<8}  {axis}  "
        if len(line) + len(mark.label) <= _COLUMNS:
            yield line + mark.label
        else:
            yield line.rstrip()
            yield f"{'':>21}{mark.label}"
        last = max(last or mark.end, mark.end)
    yield f"{'':>9}  {trace.next_check}"


_ROW, _LEFT, _WIDTH, _LABELS = 22, 210, 560, 420


def as_svg(trace: Trace) -> str:
    """The same axis as a drawing. Its labels say what its colours do.

    Green succeeded, red was refused or failed, amber is in doubt, and grey is none of these.
    """
    height = _ROW * (len(trace.marks) + 3)
    width = _LEFT + _WIDTH + _LABELS
    rows = "".join(_row(trace, number, mark) for number, mark in enumerate(trace.marks, start=2))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img" font-family="monospace" font-size="12">'
        f"<title>{escape(trace.title)}</title>"
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="10" y="{_ROW}" font-size="15">{escape(trace.title)} · '
        f"{escape(trace.next_check)}</text>{rows}</svg>"
    )


def _row(trace: Trace, number: int, mark: Mark) -> str:
    begin, end = (
        _LEFT + trace.position(moment) / trace.length * _WIDTH for moment in (mark.at, mark.end)
    )
    top, offset = _ROW * number, (mark.at - trace.marks[0].at).total_seconds()
    text = top + 14
    return (
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{top + 10}" y2="{top + 10}" stroke="#eaeef2"/>'
        f'<text x="10" y="{text}" fill="{_PLAIN}">{offset:+.2f} s</text>'
        f'<text x="110" y="{text}" fill="{_PLAIN}">{escape(mark.lane)}</text>'
        f'<rect x="{begin:.1f}" y="{top + 4}" width="{max(end - begin, 3):.1f}" height="12" rx="2"'
        f' fill="{mark.colour}"/>'
        f'<text x="{_LEFT + _WIDTH + 12}" y="{text}">{escape(shown(mark.label))}</text>'
    )


def read(desk: Desk, code: str, *, since: timedelta) -> Trace:
    """Read all that is known of a reservation's way."""
    with desk.services.unit_of_work() as uow:
        reservation = find_reservation(code, uow=uow)
        history = uow.reservations.history(reservation.reservation_id)
        now = uow.now()
    attempts = desk.services.oversight().attempts(reservation.reservation_id)
    names = [str(reservation.reservation_id)]
    lines = desk.logs().having(names, since=datetime.now(UTC) - since)
    return trace_of(reservation, history=history, attempts=attempts, lines=lines, now=now)


@click.command
@code
@since_option
@click.option(
    "--svg", type=click.Path(dir_okay=False, path_type=Path), help="Write a drawing there."
)
@reads
@pass_desk
def trace(desk: Desk, code: str, since: timedelta, svg: Path | None) -> None:
    """Draw one reservation on one time axis: history, requests, hints with their waits, next check.

    A bar is as long as the request or the wait. A pause of more than ten seconds is shortened (⋯).
    """
    found = read(desk, code, since=since)
    if svg is not None:
        svg.write_text(as_svg(found), encoding="utf-8")
        desk.say({"written": str(svg)})
        return
    if desk.as_json:
        desk.say({found.title: [_plain(mark) for mark in found.marks], "next": found.next_check})
        return
    for line in as_text(found):
        click.echo(line)


def _plain(mark: Mark) -> dict[str, object]:
    lasted = round(mark.lasted.total_seconds() * 1000)
    return {"at": mark.at, "lane": mark.lane, "label": mark.label, "ms": lasted}
