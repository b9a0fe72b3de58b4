"""Promises of both providers: our client, the simulator and the document, for payments and for the supplier."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.simulators.payments import Payments
from local.simulators.provider import Provider
from local.simulators.supplier import Supplier
from reservations.application.ports import Reply
from reservations.domain.facts import Listing, NoAnswer, NotSent, Seen, Status
from reservations.domain.money import Money
from tests.contract import test_payments_api as payments
from tests.contract import test_supplier_api as supplier
from tests.worlds.builders import an_offer
from tests.worlds.contracts import Contract
from tests.worlds.providers import Simulator, eventually

_OFFERS = {"ok": "HTL", "timeout": "TMO", "flaky": "FLK", "late": "LAT", "twice": "TWI"}
_TERMS: Mapping[str, dict[str, Any]] = {
    "payments": {
        "simulated": Payments,
        "ledger": "charges",
        "order": lambda mood: payments.a_charge(f"tok_{mood}"),
        "inquiry": payments.an_inquiry,
        "another": {"money": Money(100, "EUR")},
        "complete": lambda seen: seen.money == payments.PRICE,
    },
    "supplier": {
        "simulated": Supplier,
        "ledger": "bookings",
        "order": lambda mood: supplier.a_booking(f"{_OFFERS[mood]}-MAD-001"),
        "inquiry": supplier.an_inquiry,
        "another": {"offer": an_offer(guests=3)},
        "complete": lambda seen: seen.locator is not None,
    },
}


@dataclass(frozen=True, slots=True)
class Side:
    """One provider, with its terms for a charge or a booking."""

    simulated: type[Provider]
    ledger: str
    order: Callable[[str], Any]
    inquiry: Callable[[Any], Any]
    another: Mapping[str, object]  # the change that makes an order another one
    complete: Callable[[Seen], bool]
    perform: Callable[[Any], Reply]
    simulator: Simulator
    contract: Contract

    def made(self, order: Any) -> int:
        return len(self.simulator.ledger(self.ledger, order.reference))

    def listed(self, order: Any) -> tuple[Seen, ...]:
        outcome = self.perform(self.inquiry(order)).outcome
        assert isinstance(outcome, Listing)
        return outcome.seen

    def seen(self, order: Any) -> Seen:
        outcome = self.perform(order).outcome
        assert isinstance(outcome, Seen)
        return outcome


@pytest.fixture(params=_TERMS)
def side(request: pytest.FixtureRequest) -> Side:
    api, simulator, contract = (
        request.getfixturevalue(f"{request.param}_{part}")
        for part in ("api", "simulator", "contract")
    )
    terms = _TERMS[request.param]
    return Side(perform=api.perform, simulator=simulator, contract=contract, **terms)


def test_orders_sent_at_the_same_time_under_one_key_act_once(side: Side) -> None:
    order = side.order("ok")

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(side.seen, [order] * 8))

    assert len({one.provider_id for one in seen}) == 1
    assert side.made(order) == 1


def test_a_key_with_another_body_is_refused_as_a_broken_contract(side: Side) -> None:
    order = side.order("ok")
    side.perform(order)

    reply = side.perform(replace(order, **side.another))

    assert (reply.outcome, reply.http_status, reply.alarm) == (NoAnswer(), 422, "contract")
    assert side.made(order) == 1


def test_nothing_under_a_reference_is_an_empty_listing(side: Side) -> None:
    assert side.listed(side.order("ok")) == ()


def test_an_order_without_an_answer_is_found_by_our_reference(side: Side) -> None:
    order = side.order("timeout")

    silence, again = side.perform(order), side.perform(order)
    [found] = side.listed(order)

    assert (silence.outcome, silence.http_status, silence.alarm) == (NoAnswer(), None, None)
    assert again.outcome == NoAnswer()
    assert (found.status, side.complete(found)) == (Status.SUCCEEDED, True)
    assert side.made(order) == 1


def test_a_failure_is_never_replayed(side: Side) -> None:
    order = side.order("flaky")

    first, second, third = side.perform(order), side.perform(order), side.seen(order)

    assert (first.outcome, first.http_status) == (NoAnswer(), 500)
    assert (second.outcome, second.http_status) == (NotSent(retry_after_s=1), 503)
    assert third.status is Status.SUCCEEDED
    assert side.made(order) == 1


def test_a_late_listing_hides_an_operation_that_exists(side: Side) -> None:
    order = side.order("late")

    silence = threading.Thread(target=lambda: side.perform(order))
    silence.start()
    eventually(lambda: side.made(order))
    at_first = side.listed(order)
    found = eventually(lambda: side.listed(order))[0]
    silence.join()

    assert at_first == ()
    assert (found.status, side.complete(found)) == (Status.SUCCEEDED, True)


def test_a_provider_that_forgets_its_promise_of_the_key_acts_twice(side: Side) -> None:
    order = side.order("twice")

    untruth, second, again = side.perform(order), side.seen(order), side.seen(order)

    assert (untruth.outcome, untruth.http_status) == (NotSent(retry_after_s=1), 503)
    assert second == again
    both = side.listed(order)
    assert [made.status for made in both] == [Status.SUCCEEDED] * 2
    assert both[0].provider_id != both[1].provider_id == second.provider_id
    assert side.made(order) == 2


def test_in_an_outage_nothing_is_done_and_it_is_known(side: Side) -> None:
    order = side.order("ok")
    side.simulator.faults("outage")

    during = side.perform(order)
    made_during = side.simulator.ledger(side.ledger)
    side.simulator.faults("ok")

    assert (during.outcome, during.http_status) == (NotSent(retry_after_s=2), 503)
    assert made_during == []
    assert side.seen(order).status is Status.SUCCEEDED


def test_a_killed_provider_remembers_every_key(side: Side) -> None:
    order = side.order("ok")
    before = side.seen(order)
    side.simulator.kill()

    refused = side.perform(order)
    side.simulator.start()

    assert (refused.outcome, refused.http_status) == (NotSent(), None)
    assert side.seen(order) == before
    assert side.made(order) == 1


def test_the_simulator_offers_what_the_document_says(side: Side) -> None:
    offered = {(route.method, route.template) for route in side.simulated.routes}

    assert offered == side.contract.operations()
