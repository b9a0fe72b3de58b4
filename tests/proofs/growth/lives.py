"""Lives of reservations, played by the functions on a virtual clock. Each is cloned many times."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from io import StringIO

from local.simulators.payments import Payments
from local.simulators.supplier import Supplier
from reservations.adapters.providers.payments_api import HttpPaymentsApi
from reservations.adapters.providers.supplier_api import HttpSupplierApi
from reservations.application.operate import remove_documents
from reservations.application.ports import PaymentsApi, SupplierApi
from reservations.domain.facts import Operation, Status
from reservations.domain.words import State
from tests.handlers.conftest import Surroundings
from tests.handlers.journey import Journey, departed, next_door, times
from tests.worlds.invocation import LogBook

DAY = timedelta(days=1)
AHEAD = 60  # days from the request to the trip
OVER = timedelta(days=AHEAD + 10)
REMOVED = timedelta(days=AHEAD + 3 + 182)  # the voucher goes 180 days after the trip

Live = Callable[[Journey], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A kind of reservation, and its share of a year in percent."""

    live: Live
    percent: int = 0
    token: str = "tok_ok"
    offer: str = "HTL-MAD-001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Reservations made so many days ago, and their lives."""

    oldest: float
    youngest: float
    lives: Sequence[Life]


def _to_its_end(trip: Journey) -> None:
    trip.travel_to_the_end()


def _retried(trip: Journey) -> None:
    """The payments API refuses connections for a while, so the charge is sent again."""
    trip.payments.faults("outage")
    trip.travel_for(timedelta(seconds=40))
    trip.payments.faults("ok")
    trip.travel_to_the_end()


def _cancelled(trip: Journey) -> None:
    trip.travel_to_the_end()
    trip.cancel()
    trip.travel_to_the_end()


def _cancelled_at_once(trip: Journey) -> None:
    trip.cancel()
    trip.travel_to_the_end()


def _then(live: Live, time: timedelta) -> Live:
    """Let this time pass since the request, with the looks that are due in it."""

    def longer(trip: Journey) -> None:
        live(trip)
        trip.travel_for(time)

    return longer


def _removed(live: Live) -> Live:
    def longer(trip: Journey) -> None:
        _then(live, REMOVED)(trip)
        cases = replace(trip.around.cases(), actor="retention")
        assert remove_documents(trip.reservation_id, cases=cases, store=trip.around.store)

    return longer


def _ended(
    change: Callable[[Live], Live], *, with_voucher: Callable[[Live], Live] | None = None
) -> tuple[Life, ...]:
    return (
        Life(live=(with_voucher or change)(_cancelled), percent=6),
        Life(live=change(_cancelled_at_once), percent=4),
        Life(live=change(_to_its_end), percent=5, token="tok_declined"),
        Life(live=change(_to_its_end), percent=3, offer="REJ-MAD-001"),
    )


def _traveled(live: Live) -> Live:
    return _then(live, OVER)


YEAR = (
    Band(
        oldest=366,
        youngest=250,
        lives=(
            *_ended(_traveled, with_voucher=_removed),
            Life(live=_removed(_to_its_end), percent=62),
            Life(live=_removed(_retried), percent=20),
        ),
    ),
    Band(
        oldest=235,
        youngest=75,
        lives=(
            *_ended(_traveled),
            Life(live=_traveled(_to_its_end), percent=62),
            Life(live=_traveled(_retried), percent=20),
        ),
    ),
    Band(
        oldest=50,
        youngest=1,
        lives=(
            *_ended(lambda live: live),
            Life(live=_to_its_end, percent=62),
            Life(live=_retried, percent=20),
        ),
    ),
)


def _paying(trip: Journey) -> None:
    trip.travel(until=lambda trip: trip.has(Operation.CHARGE, Status.PENDING))


def _in_review(trip: Journey) -> None:
    _cancelled(trip)
    assert trip.review


def _just_confirmed(trip: Journey) -> None:
    trip.travel(until=lambda trip: trip.stored.standing.state is State.SUPPLIER_CONFIRMED)
    trip.travel_for(timedelta(minutes=5))


def _forgotten(trip: Journey) -> None:
    """A trip that ended long enough ago for its personal data and its voucher to go."""
    trip.travel_for(timedelta(days=AHEAD + 735))


# Work in hand, as much at every size: overdue, in review, waiting for its late look, to be deleted.
IN_HAND = (
    Band(
        oldest=0.03, youngest=0.025, lives=(Life(live=_paying, percent=100, token="tok_pending"),)
    ),
    Band(
        oldest=0.9,
        youngest=0.8,
        lives=(Life(live=_in_review, percent=100, token="tok_refund_rejected"),),
    ),
    Band(oldest=0.02, youngest=0.01, lives=(Life(live=_just_confirmed, percent=100),)),
)
EXPIRED = Band(oldest=810, youngest=800, lives=(Life(live=_forgotten, percent=100),))


class _Unheard(LogBook):
    def __init__(self) -> None: ...

    @property
    def text(self) -> str:
        return ""


class _NextDoor(Surroundings):
    """Surroundings whose providers are simulators on the same clock."""

    def __init__(self, opened: ExitStack) -> None:
        super().__init__(_Unheard())
        self.payments_door = opened.enter_context(next_door(Payments, times(), self))
        self.supplier_door = opened.enter_context(next_door(Supplier, times(), self))

    def payments_api(self) -> PaymentsApi:  # type: ignore[override]
        return HttpPaymentsApi(self.payments_door.client())

    def supplier_api(self) -> SupplierApi:  # type: ignore[override]
        return HttpSupplierApi(self.supplier_door.client())


@contextmanager
def lived(life: Life) -> Iterator[Journey]:
    with ExitStack() as opened:
        opened.enter_context(redirect_stdout(StringIO()))
        opened.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        around = _NextDoor(opened)
        trip = departed(
            around,
            around.payments_door,
            around.supplier_door,
            token=life.token,
            offer=life.offer,
            days_ahead=AHEAD,
        )
        life.live(trip)
        yield trip
