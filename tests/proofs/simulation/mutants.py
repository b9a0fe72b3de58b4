"""Faults planted in the real modules. A schedule of the hostile world catches each one.

`catches.json` has the schedule that caught each fault last: a seed, or the name of a written one. It
is tried first. A change of the code may have made it miss, so the first schedules are searched then.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.proofs.simulation.script import Script

_PLAN = "reservations.domain.plan"
_STANDING = "reservations.domain.standing"
_WORDS = "reservations.domain.words"
_LEARNING = "reservations.domain.learning"
_CONTRADICTIONS = "reservations.domain.contradictions"
_COMPARISON = "reservations.domain.comparison"
_ACCOUNT = "reservations.domain.account"
_VERDICT = "reservations.domain.verdict"
_FULFILMENT = "reservations.domain.fulfilment"
_CASES = "reservations.application.cases"
_CHANGE = "reservations.domain.change"
_STEP = "reservations.application.provider_step"
_NOTIFY = "reservations.application.notify_customer"
_POLLER = "reservations.application.poll_outbox"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault. In `module`, each `old` text occurs exactly once and becomes `new`."""

    name: str
    module: str
    edits: tuple[tuple[str, str], ...]


def _of(name: str, module: str, old: str, new: str, *more: tuple[str, str]) -> Mutant:
    return Mutant(name, module, ((old, new), *more))


_ALL = (
    # --- the plan
    _of("the money rule stops at closing", _PLAN,
        "if charge is standing.spared_charge or not",
        "if charge is standing.spared_charge or standing.closed or not"),
    _of("refunds before the booking is cancelled", _STANDING,
        "self.covering_charge if self.closed and self.may_be_booked else", "None if self.closed else"),
    _of("refunds also what is kept", _PLAN,
        "if charge is standing.spared_charge or not standing.may_refund(charge):",
        "if not standing.may_refund(charge):"),
    _of("the refund's key counts the refunded amount", _ACCOUNT,
        'key = f"refund:{self.charge.provider_id}"',
        'key = f"refund:{self.charge.provider_id}-{self.left}"'),
    _of("the charge's key counts attempts", _PLAN,
        'key = f"charge:{facts.reservation_id}"\n',
        'key = f"charge:{facts.reservation_id}:{len(facts.calls)}"\n'),
    _of("all reservations charge under one key", _PLAN,
        'key = f"charge:{facts.reservation_id}"\n', 'key = "charge"\n'),
    _of("a charge of which nothing is known is sent again", _PLAN,
        "        if not standing.charging and in_time",
        "        charging = any(charge.open and charge.status is not Status.UNKNOWN"
        " for charge in standing.charges)\n"
        "        if not charging and in_time",
        ("if call is None or call.status is not Status.NOT_FOUND:",
         "if call is None or call.status not in (Status.NOT_FOUND, Status.UNKNOWN):"),
        ("return call.check_at is None or call.due(at.now) or not paused", "return True")),
    _of("expires with an open charge", _VERDICT,
        "    if standing.charging:\n        return None\n", ""),
    _of("goes on after a cancellation", _PLAN,
        "    if standing.closed:\n        return\n    if standing.kept_charge is None:\n",
        "    if standing.kept_charge is None:\n"),
    _of("explicit cancelled: the supplier's cancellation is not seen", _VERDICT,
        "return None if standing.kept_booking else Reason.SUPPLIER_CANCELLED", "return None"),
    _of("a wrong sum is booked", _PLAN,
        "elif standing.may_book and not standing.may_be_booked:",
        "elif not standing.may_be_booked:"),
    _of("another currency is the right sum", _STANDING,
        "money is not None and money.currency == price.currency and",
        "money is not None and"),
    _of("the first charge is kept, whatever its sum", _STANDING,
        "return begun, charge.key in self._of_another_sum, _closed_at(charge)",
        "return begun, False, _closed_at(charge)"),
    _of("a rejection leaves the money", _VERDICT,
        "return Reason.SUPPLIER_REJECTED if refused or tired else None", "return None"),
    _of("a rejected booking closes, whatever else", _VERDICT,
        "    if not bookings or standing.may_be_booked:\n", "    if not bookings:\n"),
    _of("a declined charge closes, whatever else", _VERDICT,
        "    if standing.kept_charge is None:\n        return _verdict_without_money",
        "    if any(c.status is Status.DECLINED for c in standing.charges):\n"
        "        return Reason.PAYMENT_DECLINED\n"
        "    if standing.kept_charge is None:\n        return _verdict_without_money"),
    _of("booked before it is paid", _PLAN,
        "    if standing.kept_charge is None:\n        key =",
        "    if standing.kept_charge is None and standing.charges and not standing.may_be_booked:\n"
        '        yield Send(operation=Operation.BOOK, key=f"book:{facts.reservation_id}")\n'
        "    if standing.kept_charge is None:\n        key ="),
    _of("the hold counts from a_creation", _STANDING,
        "return max(sent) + policy.hold if sent else",
        "return self.facts.created_at + policy.hold if sent else"),
    _of("a pending charge is voided at once", _PLAN,
        "return standing.closed or standing.kept_charge is not None or standing.hold_is_over(at)",
        "return True"),
    _of("voids again and again while pending", _PLAN,
        "if unwanted and (not call.void_asked or (due and call.looks % 2 == 0)):", "if unwanted:"),
    _of("what needs a person is settled", _PLAN,
        "if standing.state in RESTING and not standing.reviews(at.now):",
        "if standing.state in RESTING:"),
    _of("EN CANCELACION again after CANCELADA", _WORDS,
        "status is PublicStatus.CANCELADA and not ended",
        "status is PublicStatus.CANCELADA and state not in {*FINAL_STATE.values(), State.REFUNDED}"),
    _of("another booking takes the place of the one on the voucher", _STANDING,
        "if kept is None or confirmed_at is None or", "if kept is None or True or"),
    # --- learning from answers
    _of("no look is planned when a call begins", _LEARNING,
        "        check_at=at.now + at.policy.rung(looks),\n", "        check_at=None,\n"),
    _of("a timeout is taken for a refusal", _LEARNING,
        "replace(call, status=Status.UNKNOWN, check_at=check_at, doubted=True)",
        "replace(call, status=Status.DECLINED, closed_at=at.now, quiet_from=at.now, check_at=check_at)"),
    _of("a failed inquiry is an empty listing", _LEARNING,
        "return facts.put(_not_asked(call, sent.action, outcome, at))",
        "return answer.file_listing(facts, call, Listing(()))"),
    _of("the last answer wins, stale or not", _LEARNING,
        "if rank_of(seen.status) <= rank_of(call.status):", "if seen.status is call.status:"),
    _of("an answer goes to the row that asked", _LEARNING,
        "        row = next((row for row in rows if row.provider_id == seen.provider_id), None)\n",
        "        row = None\n"),
    _of("a second payment is ignored", _LEARNING,
        "        return facts.put(self.learn(row or self.found(operation, target, seen), seen))",
        "        return facts.put(self.learn(row, seen)) if row else facts"),
    _of("what was not sent is sent again with no pause", _LEARNING,
        "send_at = at.now + _pause(outcome, rung, at.policy)", "send_at = at.now"),
    _of("what is closed is never looked at again", _LEARNING,
        "_LOOKED_AFTER = frozenset({Operation.CHARGE, Operation.BOOK})", "_LOOKED_AFTER = frozenset()"),
    _of("a webhook is only a hint", _LEARNING,
        "                    check_at=now,\n                    looks=0,\n", ""),
    _of("the stamp of the end is renewed", _VERDICT,
        "if facts.ended_at is None and state in FINAL:", "if state in FINAL:"),
    _of("a look at another booking puts a cancellation off", _LEARNING,
        "if call.status is Status.NOT_FOUND and not own:", "if call.missing_since and not own:"),
    # --- contradictions: each name begins with its row of docs/ADR/ADR-015
    _of("explicit cancelled: an id in another case cancels too", _COMPARISON,
        "return None if cancels or known in gone else", "return None if known in gone else"),
    _of("booking absent: absence closes a reservation", _VERDICT,
        "return None if standing.kept_booking else Reason.SUPPLIER_CANCELLED",
        "return None if standing.kept_booking and standing.may_cancel_rivals"
        " else Reason.SUPPLIER_CANCELLED"),
    _of("booking absent: it is not missed", _COMPARISON,
        "        found.observe(Kind.BOOKING_ABSENT, about, ABSENT)\n", ""),
    _of("booking absent: another booking is cancelled", _STANDING,
        "            row.kind in (Kind.BOOKING_ABSENT, Kind.BOOKING_CHANGED)\n", "            False\n"),
    _of("booking absent: one look is believed", _CONTRADICTIONS,
        "case Kind.DISPUTE | Kind.OTHER_SUM:", "case Kind.DISPUTE | Kind.OTHER_SUM | Kind.BOOKING_ABSENT:"),
    _of("booking absent: a suspicion has no look of its own", _PLAN,
        "{row.about for row in facts.contradictions if row.due(at.now)}", "set()"),
    _of("booking changed: a lower status is not seen", _COMPARISON,
        "_observe_change(found, row, told, _change_of(row, seen, twin))",
        "_observe_change(found, row, told, twin and twin.provider_id)"),
    _of("booking changed: other dates are not seen", _COMPARISON,
        "(change, told.other_terms, price)", "(change, None, price)"),
    _of("booking changed: further dates are answered by an old decision", _COMPARISON,
        "(change, told.other_terms, price)",
        '(change, "other dates" if told.other_terms else None, price)'),
    _of("booking changed: dates hide the price", _COMPARISON,
        "(change, told.other_terms, price)",
        "(change, told.other_terms, None if told.other_terms else price)"),
    _of("booking changed: the price of a pending booking is forgotten", _LEARNING,
        "money=first if call.operation is Operation.BOOK else last,", "money=last,"),
    _of("booking changed: another price is not seen", _COMPARISON,
        "    money = told.money if _has_other_price(row, told) else None\n", "    money = None\n"),
    _of("booking changed: an id in another case is another booking", _COMPARISON,
        "        if known is None or seen.provider_id in ours:\n", "        if True:\n"),
    _of("rebooked: a corrected id stays replaced", _STANDING,
        "            replaced.pop(new, None)\n", ""),
    _of("rebooked: a cancelled booking is taken", "reservations.domain.decisions",
        "        if standing.is_undone(booking):\n", "        if False:\n",
        ("booking.status is not Status.SUCCEEDED and not standing.closed:", "False:")),
    _of("booking alive: a cancelled booking that lives is not seen", _COMPARISON,
        "            if alive is not None and alive.status in LIVE:\n", "            if False:\n"),
    _of("booking alive: its payment is refunded", _STANDING,
        "            row.kind is Kind.BOOKING_ALIVE\n            or (", "            ("),
    _of("second payment: it is kept beside a healthy one", _PLAN,
        "    for charge in standing.held_charges:\n",
        "    for charge in standing.held_charges if standing.closed else ():\n"),
    _of("second booking: it is kept beside a healthy one", _PLAN,
        "if booking is not kept and _may_send(standing.facts, key, at):",
        "if standing.closed and booking is not kept and _may_send(standing.facts, key, at):"),
    _of("foreign refund, confirmed: it takes the money that the reservation stands on", _ACCOUNT,
        "        if self.closed:\n            return self.to_refund\n",
        "        if True:\n            return self.to_refund\n"),
    _of("foreign refund, confirmed: it is not seen", _COMPARISON,
        "    if rest and charge.money:\n", "    if False:\n"),
    _of("foreign refund, closed: it is refunded again", _ACCOUNT,
        "returned += [*self._foreign_refunds, *self._returned_by_decision]",
        "returned += [*self._returned_by_decision]"),
    _of("own refund failed: it counts as done", _ACCOUNT,
        "if refund.status is Status.SUCCEEDED and not self.has_failed(refund)",
        "if refund.status is Status.SUCCEEDED"),
    _of("own refund failed: it is not seen", _COMPARISON,
        "    if change is not None or seen is None:\n", "    if False:\n"),
    _of("own refund failed: the second one ignores the refunded amount", _LEARNING,
        "refunded_minor=charge.refunded_minor if refunded is None else refunded,",
        "refunded_minor=0,"),
    _of("own refund failed: a third one leaves", _ACCOUNT,
        "        return None\n\n    def has_turned_up(",
        "        if self._is_rejected_later(self.sent[-1]):\n"
        "            return Refund(self.refund_key(len(self.sent) + 1), left)\n"
        "        return None\n\n    def has_turned_up("),
    _of("payment voided: it is not missed", _COMPARISON,
        "        found.observe(Kind.PAYMENT_ABSENT, about, change)\n", "        pass\n"),
    _of("payment absent: it is not missed", _COMPARISON,
        "        found.observe(Kind.PAYMENT_ABSENT, about, ABSENT)\n", ""),
    _of("payment absent: it is held no longer", _STANDING,
        "if charge.status is Status.SUCCEEDED and self.left_of(charge) > 0",
        "if charge.status is Status.SUCCEEDED and self.left_of(charge) > 0\n"
        "            and (Kind.PAYMENT_ABSENT, charge.provider_id) not in {row.matter for row in self.lasting}"),
    _of("payment absent: another payment is refunded", _STANDING,
        "_UNSURE_PAYMENT = frozenset({Kind.PAYMENT_ABSENT, Kind.PAYMENT_CHANGED})",
        "_UNSURE_PAYMENT = frozenset[Kind]()"),
    _of("dispute open: it is not seen", _COMPARISON,
        "    if seen.dispute is None:\n", "    if True:\n"),
    _of("dispute open: refunds go on", _STANDING, "if account.disputed or account", "if account"),
    _of("dispute lost: it returned nothing", _ACCOUNT,
        "given_up = dispute.seen == DisputeStatus.LOST or dispute.decision is not None",
        "given_up = dispute.decision is not None"),
    _of("dispute lost: it is refunded", _ACCOUNT,
        "return bool(self._disputes)",
        "return any(row.seen == DisputeStatus.OPEN for row in self._disputes)",
        ("returned += [*self._foreign_refunds, *self._returned_by_decision]",
         "returned += [*self._foreign_refunds]")),
    _of("dispute won: it stays open", _COMPARISON,
        "    if seen.dispute.status is not DisputeStatus.WON:\n", "    if True:\n"),
    _of("other sum: it is not seen", _COMPARISON,
        "            if money != row.money:\n", "            if False:\n"),
    _of("any during a review: an old decision answers new evidence", _CONTRADICTIONS,
        "    return last.seen == seen.seen and not", "    return not"),
    _of("any during a review: the next one joins no set", _STANDING,
        "filter(self.in_review, self.lasting)", "filter(self.in_review, self.lasting[:1])"),
    _of("far looks are never taken", "reservations.domain.far_looks",
        "    if planned is None or planned > at.now:\n", "    if True:\n"),
    # --- the timer, the voucher, the mails
    _of("an action sets no timer", _PLAN,
        "lease_end = at.now + at.policy.hint_lease if todo else None", "lease_end = None"),
    _of("what is owed to the traveler sets no timer", _PLAN,
        "hint_lease if todo else None", "hint_lease if _todo(work[:1]) else None",
        ("thing.until for thing in work if", "thing.until for thing in work[:1] if")),
    _of("the mail goes before the voucher", _FULFILMENT,
        "is State.SUPPLIER_CONFIRMED and _lacks_voucher(reservation):",
        "is State.SUPPLIER_CONFIRMED and reservation.sends and _lacks_voucher(reservation):"),
    _of("a send that was cut off is never repeated", _FULFILMENT,
        "check_at=None if repeats else at.now + at.policy.mail_repeat", "check_at=None"),
    _of("a send that stays unknown is repeated for ever", _FULFILMENT,
        "check_at=None if repeats else at.now + at.policy.mail_repeat", "check_at=at.now + at.policy.mail_repeat"),
    _of("nobody writes about the refund of an expired reservation", _FULFILMENT,
        "    MailRule(status=PublicStatus.EXPIRADA, kind=MailKind.REFUNDED, state=State.REFUNDED),\n", ""),
    _of("a mail that was sent is sent once more", _FULFILMENT,
        "return replace(send, status=status, ses_id=ses_id, check_at=None)",
        "return replace(send, status=status, ses_id=ses_id)"),
    # --- the use cases
    _of("any step does any action", _CASES,
        "isinstance(action, Action) and provider_of(action) is provider else None",
        "isinstance(action, Action) else None"),
    _of("the call is made before it is written down", _STEP,
        "        reservation, customer = case.reservation, case.customer\n",
        "        reservation, customer = case.reservation, case.customer\n        case.leave()\n"),
    _of("the answer is saved without planning again", _STEP,
        "        case.put(replace(case.reservation, facts=facts))\n        case.prove",
        "        kept = Settlement(reservation=replace(case.reservation, facts=facts),"
        " timer=case.reservation.next_check_at)\n"
        "        cases.uow.store(Change.of(case.reservation, kept, case.at, actor='system'))\n"
        "        cases.uow.commit()\n"
        "        case.leave()\n        case.prove",
        ("from reservations.domain.learning import begin, record\n",
         "from reservations.domain.change import Change\n"
         "from reservations.domain.learning import begin, record\n"
         "from reservations.domain.plan import Settlement\n")),
    _of("what is refunded is the price, not what was taken", "reservations.application.process_payment",
        "money=action.money or reservation.facts.price", "money=reservation.facts.price"),
    _of("each attempt to book has a key of its own", "reservations.application.confirm_supplier",
        "                action=action,\n",
        "                action=replace(action, key=f'{action.key}:{not_after}')"
        " if isinstance(action, Send) else action,\n",
        ("from datetime import datetime\n",
         "from dataclasses import replace\nfrom datetime import datetime\n"
         "from reservations.domain.actions import Send\n")),
    _of("the poller wakes nobody", _POLLER,
        "    return Polled(woken=len(publisher.publish(hints).accepted), full=len(due) == BATCH)",
        "    return Polled()"),
    _of("a mail is sent before it is written down", _NOTIFY,
        "            case.put(begin_send(reservation, kind, at))\n",
        "            case.leave()\n",
        ("        case.put(record_send(case.reservation,",
         "        case.put(record_send(begin_send(case.reservation, kind, case.at),")),
    _of("the token is forgotten while a charge may be sent again", _CHANGE,
        "frozenset({Status.SUCCEEDED,", "frozenset({Status.NOT_FOUND, Status.SUCCEEDED,"),
    _of("the token is kept for ever", _CHANGE, "return standing.closed or any(", "return any("),
    _of("the version grows with every write", _CHANGE,
        "            if reads_differently(before, after, at):\n", "            if before is not after:\n"),
    _of("a cancellation tells nobody and sets no timer", "reservations.application.cancel_reservation",
        "    case.put(replace(reservation, facts=cancel(reservation.facts)))\n", "    case.leave()\n",
        ("        close_case(case)\n",
         "        close_case(case)\n"
         "    if case.left and case.reservation.standing.public_status not in BEING_CANCELLED:\n"
         "        closed = replace(case.reservation, facts=cancel(case.reservation.facts))\n"
         "        kept = Settlement(reservation=closed, timer=closed.next_check_at)\n"
         "        cases.uow.store(Change.of(case.reservation, kept, case.at, actor=ACTOR))\n"),
        ("from reservations.domain.errors", "from reservations.domain.change import Change\n"
         "from reservations.domain.plan import Settlement\nfrom reservations.domain.errors")),
    _of("a webhook wakes the rows of the other provider", "reservations.application.receive_webhook",
        "wake(case.reservation.facts, event.provider, case.at.now)",
        "wake(case.reservation.facts,"
        " next(p for p in type(event.provider) if p is not event.provider), case.at.now)"),
    _of("the voucher names the first booking there was", "reservations.application.vouchers",
        "booking, confirmed_at = reservation.standing.kept_booking, reservation.facts.confirmed_at",
        "booking, confirmed_at = reservation.facts.calls[-1], reservation.facts.confirmed_at"),
)  # fmt: skip

MUTANTS = {mutant.name: mutant for mutant in _ALL}
WITHIN = 500  # seeds; most faults need ten
_SOON = 60  # seeds; the others are slower than the written schedules

Schedule = int | str  # a seed, else the name of a written schedule

_RECORD = Path(__file__).with_name("catches.json")
RECORDED: dict[str, Schedule] = json.loads(_RECORD.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Catch:
    """A schedule that breaks a promise with the fault, and none without it."""

    schedule: Schedule
    violation: str


def caught(names: Iterable[str], *, jobs: int | None = None) -> Iterator[tuple[str, Catch | None]]:
    """Plant each fault in a process of its own, where its module is not loaded yet.

    Yield its name and its catch, or `None` if it survives the seeds and the written schedules.
    """
    names, jobs = list(names), jobs or os.cpu_count()
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(jobs, mp_context=spawn, max_tasks_per_child=1) as faulty,
        ProcessPoolExecutor(1, mp_context=spawn) as sound,
        ThreadPoolExecutor(jobs) as threads,
    ):

        def hunt(name: str) -> Catch | None:
            missed: list[Schedule] = []
            while catch := faulty.submit(_first_violation, name, missed).result():
                if sound.submit(_violation, catch.schedule).result() is None:
                    return catch
                missed.append(catch.schedule)
            return None

        yield from zip(names, threads.map(hunt, names), strict=True)


def record(catches: dict[str, Schedule]) -> None:
    """Keep the schedules that catch the faults, to be tried first the next time."""
    text = json.dumps({name: catches[name] for name in MUTANTS if name in catches}, indent=2)
    _RECORD.write_text(f"{text}\n", encoding="utf-8")


def _first_violation(name: str, missed: Sequence[Schedule]) -> Catch | None:
    plant(MUTANTS[name])
    recorded = [RECORDED[name]] if name in RECORDED else []
    for schedule in chain(recorded, range(_SOON), _written(), range(_SOON, WITHIN)):
        violation = None if schedule in missed else _violation(schedule)
        if violation is not None:
            return Catch(schedule, violation)
    return None


@cache
def _violation(schedule: Schedule) -> str | None:
    """Return the broken promise of a schedule. One that is written no more breaks none."""
    from tests.proofs.simulation.seeds import live
    from tests.proofs.simulation.stage import Stage

    if isinstance(schedule, int):
        return live(schedule).violation
    try:
        if schedule in _written():
            Stage(_written()[schedule]).play()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@cache
def _written() -> "dict[str, Script]":
    from tests.proofs.simulation.script import scripts

    return {script.name: script for script in scripts()}


def mutated(source: str, mutant: Mutant) -> str:
    """Apply the edits of a fault.

    Raises:
        ValueError: a text does not occur exactly once. The code has changed, so the table must follow.
    """
    for old, new in mutant.edits:
        if source.count(old) != 1:
            raise ValueError(f"{mutant.name}: found {source.count(old)} times: {old!r}")
        source = source.replace(old, new)
    return source


def plant(mutant: Mutant) -> None:
    """Make the module load with the fault in it. Call this before its first import."""
    if mutant.module in sys.modules:
        raise RuntimeError(f"{mutant.module} is loaded already")
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise ImportError(f"{fullname} cannot be mutated: it has no source file")
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(self._mutant, fullname, spec.origin)
        )


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, fullname: str, path: str) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """Compile the mutated text, without reading or writing a compiled file."""
        source = mutated(self.get_data(self.path).decode(), self._mutant)
        return compile(source, self.path, "exec", dont_inherit=True)
