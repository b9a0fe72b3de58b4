"""W3C Trace Context: one trace from the request through outbox and queue to the providers.

It replaces OpenTelemetry's propagator, whose import alone costs more than a warm request. Only `traceparent` is
carried, and no spans are exported.
"""

import re
import secrets
from contextvars import ContextVar

# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_LENGTH = 55
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def begin(traceparent: str | None) -> str:
    """Continue the caller's trace from here on, and return its id."""
    continued = continue_trace(traceparent)
    _current.set(continued)
    return continued.split("-")[1]


def current() -> str | None:
    return _current.get()


def continue_trace(traceparent: str | None) -> str:
    """Return a new span of the caller's trace, or of a new trace if `traceparent` is missing or malformed."""
    if traceparent is None or len(traceparent) != _LENGTH:
        traceparent = ""
    match = TRACEPARENT.fullmatch(traceparent)
    trace_id = match[1] if match else secrets.token_hex(16)
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"
