"""Schedules and judgements of `make stress`, and the ratios of `make bench`."""

from typing import Any

from tests.e2e.ledgers import EMULATOR_FAULT
from tools.bench.report import Spread, ratio
from tools.stress.check import Promises, count_broken, count_failures
from tools.stress.plan import CREATE, READ, arrivals


def test_arrivals_come_at_the_asked_rate_and_in_order() -> None:
    planned = arrivals(run="r", seconds=1000, creations=2, reads=5)

    times = [each.at for each in planned]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 1000
    assert 1800 < sum(each.kind == CREATE for each in planned) < 2200
    assert 4700 < sum(each.kind == READ for each in planned) < 5300


def test_a_repeat_has_the_key_and_the_body_of_its_request() -> None:
    planned = arrivals(run="r", seconds=100, creations=2, repeats=True)

    bodies = {each.key: each.body for each in planned}
    assert len(bodies) < len(planned)
    assert all(each.body == bodies[each.key] for each in planned)
    assert all(each.key in each.body["customer"]["email"] for each in planned)


def test_a_fault_of_the_emulator_is_no_500_of_ours() -> None:
    answers: list[dict[str, Any]] = [
        {"status": 500, "text": EMULATOR_FAULT},
        {"status": 504, "text": "no function in time"},
        {"status": 500, "text": "{}"},
        {"status": 0, "text": ""},
        {"status": 503, "text": "{}"},
        {"status": 202},
    ]
    promises = Promises()

    count_failures(promises, answers)

    assert (promises.http_500, promises.emulator_faults, promises.unanswered) == (1, 2, 1)


def test_a_mail_that_the_emulator_never_answered_is_no_broken_promise_of_ours() -> None:
    findings = {
        "confirmed_without_papers": [
            {"code": "7KQ2M-XD4RT-S", "detail": "confirmed"},
            {"code": "22222-22222-2", "detail": "confirmed"},
        ],
        "overdue": [{"code": "7KQ2M-XD4RT-S", "detail": "due"}],
        "money_left": [],
    }
    promises = Promises()

    count_broken(promises, findings, unanswered={"7KQ2MXD4RTS"})

    assert promises.emulator_faults == 1
    assert promises.complaints == [
        "ops invariants: confirmed_without_papers 22222-22222-2: confirmed",
        "ops invariants: overdue 7KQ2M-XD4RT-S: due",
    ]


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    """A round on a busy machine disturbs both contestants, so that its ratio stands."""
    assert ratio([2, 20, 6], [1, 10, 2]) == Spread(2, 2, 2.5)
