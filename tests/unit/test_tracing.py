"""One trace end to end: the caller's trace goes on, an unreadable one is replaced."""

import pytest

from reservations import tracing

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_the_trace_of_the_caller_continues_in_a_new_span() -> None:
    version, trace_id, span_id, flags = tracing.continue_trace(TRACEPARENT).split("-")

    assert (version, trace_id, flags) == ("00", TRACE_ID, "01")
    assert span_id != SPAN_ID
    assert len(span_id) == 16


@pytest.mark.parametrize(
    "unreadable",
    [
        None,
        "",
        "banana",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
    ],
)
def test_an_unreadable_traceparent_begins_a_new_trace(unreadable: str | None) -> None:
    first, second = tracing.continue_trace(unreadable), tracing.continue_trace(unreadable)

    assert TRACE_ID not in first
    assert first.split("-")[1] != second.split("-")[1]
    assert tracing.continue_trace(first).split("-")[1] == first.split("-")[1]


def test_the_last_trace_begun_is_the_current_one() -> None:
    assert tracing.begin(TRACEPARENT) == TRACE_ID

    current = tracing.current()

    assert current is not None
    assert current.split("-")[1] == TRACE_ID
    assert tracing.begin(None) != TRACE_ID
    assert tracing.current() != current
