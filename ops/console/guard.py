"""The door of the console: only the browser that got the printed address comes in.

A page of another site can make a browser send requests to this machine. It cannot read the token, so it
has no cookie. It names itself in `Origin`, and a name that it gave to 127.0.0.1 is in `Host`.
"""

import hmac
import secrets
from dataclasses import dataclass, field

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as AnyResponse

COOKIE = "ops_console"
_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
# A mail is a stranger's text: no script, no form, nothing fetched from elsewhere.
MAIL_CSP = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make `Origin` null
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Guard:
    """Takes the token once, and gives a cookie for it."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _used: bool = False

    def protect(self, app: Flask) -> None:
        app.before_request(self._check)
        app.after_request(_with_headers)

    def _check(self) -> AnyResponse | None:
        # The server listens on 127.0.0.1 only; the port is any.
        if request.host.rpartition(":")[0] not in ("127.0.0.1", "localhost"):
            abort(403)
        origin = request.headers.get("Origin")
        own = f"http://{request.host}"
        if origin not in (None, own) or (request.method != "GET" and origin != own):
            abort(403)
        if "token" in request.args:
            return self._let_in(request.args["token"])
        if not hmac.compare_digest(
            request.cookies.get(COOKIE, "").encode(), self._session.encode()
        ):
            abort(403)
        return None

    def _let_in(self, token: str) -> AnyResponse:
        """Put the session in a cookie, and take the token out of the address."""
        if self._used or not hmac.compare_digest(token.encode(), self.token.encode()):
            abort(403)
        self._used = True
        answer = redirect("/", code=303)
        answer.set_cookie(COOKIE, self._session, httponly=True, samesite="Strict")
        return answer


def _with_headers(response: Response) -> Response:
    own = response.headers.get("Content-Security-Policy", _CSP)
    response.headers.update(_HEADERS | {"Content-Security-Policy": own})
    return response
