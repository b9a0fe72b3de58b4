"""The pages: overview, search, one reservation, acts, and on this machine mails, vouchers and moods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from math import ceil
from typing import Any, Protocol

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Response as AnyResponse

from ops import finding, looking, output, trace
from ops.console import commands
from ops.console.guard import MAIL_CSP, Guard
from ops.desk import Desk, OpsError, explained
from reservations.application.cases import find_reservation
from reservations.domain.codes import canonical, display
from reservations.domain.errors import InvalidReservationCodeError

_LOGS = timedelta(hours=24)
_WORKS = 5  # seconds after which a page that shows work under way is read again, at the least


class Backstage(Protocol):
    """The caught mails and the simulators of the stack of this machine."""

    def mails(self) -> Sequence[EmailMessage]: ...

    def moods(self) -> Mapping[str, Sequence[str]]:
        """The moods of each simulator."""

    def mood(self, simulator: str) -> str:
        """Its mood now."""

    def set_mood(self, simulator: str, mood: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Console:
    """`role` acts. Without a `backstage` there are no mails and no moods."""

    desk: Desk
    role: str
    backstage: Backstage | None = None


def make_app(console: Console, guard: Guard) -> Flask:
    app = Flask(__name__)
    app.jinja_env.filters |= {"shown": output.shown, "filled": _filled}
    guard.protect(app)
    desk = console.desk
    actor = desk.actor(console.role)

    @app.context_processor
    def shared() -> dict[str, Any]:
        return {"actor": actor, "stack": desk.stack, "local": console.backstage is not None}

    @app.errorhandler(OpsError)
    def refused(error: OpsError) -> tuple[str, int]:
        return render_template("refused.html", text=error.format_message()), 422

    @app.get("/")
    def overview() -> str:
        with explained():
            return render_template("overview.html", page=dict(finding.parts(desk)))

    @app.get("/find")
    def find() -> str | AnyResponse:
        clue = request.args.get("clue", "").strip()
        with explained():
            return _found(finding.by_clue(desk, clue, since=_LOGS) if clue else [], clue)

    @app.post("/find")
    def find_address() -> str | AnyResponse:
        """An address is in no link, so that no history of the browser keeps it."""
        address = request.form.get("address", "").strip()
        with explained():
            return _found(finding.by_address(desk, address), "")

    @app.get("/reservation/<code>")
    def reservation(code: str) -> str:
        with explained():
            page = dict(looking.whole(desk, code))
            del page["attempts"]  # they are on the axis
            drawn = trace.read(desk, code, since=_LOGS)
            ways = finding.ways_of(desk, code)
        return render_template(
            "reservation.html",
            code=display(canonical(code)),
            page=page,
            trace=drawn,
            acts=[f"nudge {code}", f"mail resend {code}", *ways],
            again=_seconds_until_work(drawn),
        )

    @app.get("/reservation/<code>/trace.svg")
    def drawing(code: str) -> Response:
        with explained():
            drawn = trace.as_svg(trace.read(desk, code, since=_LOGS))
        return Response(drawn, mimetype="image/svg+xml")

    @app.get("/act")
    def ask() -> str:
        command = request.args.get("command", "")
        if commands.allowed(command.replace("REF", "reference")) is None:
            abort(404)
        return render_template("act.html", command=command, evidence="REF" in command.split())

    @app.post("/act")
    def act() -> str:
        asked, evidence = request.form.get("command", ""), request.form.get("evidence", "").strip()
        words = commands.allowed(asked)
        if words is None:
            abort(404)
        words = [evidence if word == "REF" else word for word in words]
        done = commands.run(desk, words, role=console.role)
        code = next((word for word in words if _is_code(word)), None)
        return render_template("done.html", command=" ".join(words), done=done, code=code)

    if console.backstage is not None:
        _add_backstage(app, desk, console.backstage)
    return app


def _seconds_until_work(drawn: trace.Trace) -> int | None:
    """The seconds after which the page of a reservation is read again. `None` if nothing is due."""
    if drawn.next_check_at is None:
        return None
    return max(_WORKS, ceil((drawn.next_check_at - drawn.now).total_seconds()))


def _found(found: Sequence[Any], clue: str) -> str | AnyResponse:
    if len(found) == 1:
        return redirect(url_for("reservation", code=display(found[0].code)), code=303)
    rows = [output.overview(each) for each in found]
    return render_template("find.html", rows=rows, clue=clue)


def _filled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the columns that are empty in all of them."""
    keys = [key for key in rows[0] if any(row[key] not in (None, "") for row in rows)]
    return [{key: row[key] for key in keys} for row in rows]


def _is_code(word: str) -> bool:
    try:
        canonical(word)
    except InvalidReservationCodeError:
        return False
    return True


def _add_backstage(app: Flask, desk: Desk, backstage: Backstage) -> None:
    @app.get("/mails")
    def mails() -> str:
        return render_template("mails.html", mails=list(enumerate(backstage.mails())))

    @app.get("/mails/<int:number>")
    def mail(number: int) -> str:
        return render_template("mail.html", mail=_mail(backstage, number), number=number)

    @app.get("/mails/<int:number>/body")
    def body(number: int) -> Response:
        part = _mail(backstage, number).get_body(("html", "plain"))
        assert part is not None
        answer = Response(part.get_content(), mimetype=part.get_content_type())
        answer.headers["Content-Security-Policy"] = MAIL_CSP
        return answer

    @app.get("/reservation/<code>/voucher.pdf")
    def voucher(code: str) -> Response:
        with explained(), desk.services.unit_of_work() as uow:
            document = find_reservation(code, uow=uow).voucher
        content = document and desk.document_store().get(document.s3_key)
        if not content:
            abort(404)
        return Response(content, mimetype="application/pdf")

    @app.get("/moods")
    def moods() -> str:
        moods = backstage.moods()
        now = {simulator: backstage.mood(simulator) for simulator in moods}
        return render_template("moods.html", moods=moods, now=now)

    @app.post("/moods")
    def set_mood() -> AnyResponse:
        simulator, mood = request.form.get("simulator", ""), request.form.get("mood", "")
        if mood not in backstage.moods().get(simulator, ()):
            abort(404)
        backstage.set_mood(simulator, mood)
        return redirect(url_for("moods"), code=303)


def _mail(backstage: Backstage, number: int) -> EmailMessage:
    found = backstage.mails()
    if number >= len(found):
        abort(404)
    return found[number]


class Quiet(WSGIRequestHandler):
    """Logs no request: the first has the token."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
