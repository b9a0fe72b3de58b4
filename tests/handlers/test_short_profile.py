"""With the embedded stack's durations, every simulated behaviour of a provider ends within 90 seconds."""

from datetime import timedelta

import pytest

from local.simulators.payments import TOKENS, Payments
from local.simulators.provider import Times
from local.simulators.supplier import OFFERS, Supplier
from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.config import PROVIDERS
from reservations.domain.facts import Provider
from reservations.domain.policy import SHORT
from reservations.domain.words import FINAL, PublicStatus, Review, State
from tests.handlers.conftest import Surroundings
from tests.handlers.journey import departed, next_door

IN_SIGHT = timedelta(seconds=90)
# A payment that stays pending is voided when its hold and the grace are over.
UNDECIDED = SHORT.hold + SHORT.grace
WORDS = {
    "tok_declined": PublicStatus.RECHAZADA,
    "tok_lost": PublicStatus.EXPIRADA,
    "tok_undecided": PublicStatus.EXPIRADA,
    "tok_wrong_amount": PublicStatus.EN_PROCESO,
    "tok_wrong_currency": PublicStatus.EN_PROCESO,
    "REJ-": PublicStatus.RECHAZADA,
    "CXL-": PublicStatus.CANCELADA,
}
WAITS_FOR_A_PERSON = {
    "tok_wrong_amount": Review.MONEY_MISMATCH,
    "tok_wrong_currency": Review.MONEY_MISMATCH,
    "tok_refund_rejected": Review.REFUND_REFUSED,
}
INPUTS = [
    *((token, "HTL-") for token in TOKENS if not token.startswith("tok_refund")),
    *((token, "REJ-") for token in TOKENS if token.startswith("tok_refund")),
    *(("tok_ok", offer) for offer in OFFERS),
]


@pytest.mark.parametrize(("token", "offer"), INPUTS)
def test_every_token_and_offer_of_the_simulators_ends_within_ninety_seconds(
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    offer: str,
) -> None:
    around.saga_policy = SHORT
    patience = timedelta(seconds=PROVIDERS[Provider.PAYMENTS].limits["short"].read)
    with (
        next_door(Payments, Times(), around, read_limit=patience) as payments,
        next_door(Supplier, Times(), around, read_limit=patience) as supplier,
    ):
        payments_api = HttpPaymentsApi(payments.client(read_limit=patience))
        supplier_api = HttpSupplierApi(supplier.client(read_limit=patience))
        monkeypatch.setattr(around, "payments_api", lambda: payments_api)
        monkeypatch.setattr(around, "supplier_api", lambda: supplier_api)
        trip = departed(around, payments, supplier, token=token, offer=f"{offer}MAD-001")

        trip.travel_for(UNDECIDED if token == "tok_undecided" else IN_SIGHT)

        expected = WORDS.get(token) or WORDS.get(offer, PublicStatus.CONFIRMADA)
        review = WAITS_FOR_A_PERSON.get(token)
        assert (trip.word, trip.review) == (expected, frozenset({review} if review else ()))
        assert review or trip.stored.standing.state in {*FINAL, State.SUPPLIER_CONFIRMED}
