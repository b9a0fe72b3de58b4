"""UUIDs of version 7 (RFC 9562)."""

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

from reservations.domain.identifiers import uuid7


def test_the_example_of_the_rfc_is_made() -> None:
    # RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00
    now = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    random = {12: 0xCC3, 62: 0x18C4DC0C0C07398F}

    made = uuid7(now, random.__getitem__)

    assert str(made) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    assert (made.version, made.variant) == (7, RFC_4122)


def test_identifiers_sort_by_time_to_the_millisecond() -> None:
    start = datetime(2027, 1, 1, tzinfo=UTC)
    made = [uuid7(start + timedelta(milliseconds=n)) for n in range(50)]

    assert made == sorted(made, key=str)


def test_identifiers_of_one_moment_differ() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)

    assert len({uuid7(now) for _ in range(1000)}) == 1000
