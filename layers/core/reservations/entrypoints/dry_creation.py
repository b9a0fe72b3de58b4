"""The rehearsal of a creation: everything but the COMMIT."""

from datetime import timedelta
from typing import Any, Protocol

from reservations import config
from reservations.application.cases import Cases
from reservations.application.create_reservation import create_reservation
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import ClientModes, DuplicateCharge, QuoteMode
from reservations.domain.errors import DefectError
from reservations.domain.reservation import Language
from reservations.entrypoints import answers, circumstances, rehearsal
from reservations.entrypoints.bodies import judge_first_use
from reservations.entrypoints.first_use import FirstUse

_MODES = ClientModes(public=False, quote=QuoteMode.OFF, duplicate_charge=DuplicateCharge.ALLOW)


class Services(circumstances.Services, Protocol):
    """The part of the composition root that this edge needs."""

    def cases(self) -> Cases: ...
    def key_ring(self) -> KeyRing: ...
    def prepare(self, *own: type[config.Settings]) -> None: ...
    def public_base_url(self) -> str: ...
    def support_contact(self) -> str: ...


def create_nothing(services: Services, *settings: type[config.Settings]) -> dict[str, Any]:
    """Read the `settings`, judge a body, store its reservation, read it back and render the answer. Then roll back.

    Raises:
        DefectError: the reservation was not there in its own transaction.
        ProblemError: the body was refused.
    """
    services.prepare(*settings)
    now, keys = services.now(), services.key_ring()
    services.quote_keys()
    context = FirstUse.at(
        now, policy=services.durations(), modes=_MODES, check_quote=lambda *_: None
    )
    starts_on = (now + timedelta(days=30)).date()
    body = judge_first_use(
        {
            "customer": {
                "full_name": "Ensayo",
                "email": "ensayo@example.com",
                "phone": "+34600000000",
            },
            "offer": {
                "offer_id": "REHEARSAL",
                "description": "Ensayo",
                "starts_on": starts_on.isoformat(),
                "ends_on": (starts_on + timedelta(days=1)).isoformat(),
                "guests": 1,
            },
            "price": {"amount": "1.00", "currency": "EUR"},
            "payment_token": "tok_rehearsal",
        },
        context=context,
    )
    command = body.to_command(client_id=rehearsal.CLIENT, language=Language.SPANISH)
    cases = services.cases()
    with cases.uow as uow:  # never committed
        made = create_reservation(command, cases=cases, token_kid=keys.current)
        found = uow.reservations.find(made.code)
    if found is None:
        raise DefectError("a reservation is missing in its own transaction")
    stored = answers.stored_answer(
        made, policy=cases.policy, support_contact=services.support_contact()
    )
    answers.created(stored, base_url=services.public_base_url(), keys=keys, replayed=False)
    return rehearsal.DONE
