"""A reservation under its lock: one read, one write, and a plan that no use case can forget.

    with cases.open(reservation_id) as case:
        case.put(...)

The block is the transaction. Its end settles the reservation, stores the change with its hints,
commits, and sends the hints. An exception rolls everything back. Make a network call between two
blocks, never inside.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from reservations.application.hint_sender import HintSender
from reservations.application.ports import Attempt, Opened, UnitOfWork
from reservations.domain.actions import Action, provider_of
from reservations.domain.change import Change
from reservations.domain.codes import canonical
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.facts import Provider
from reservations.domain.history import HistoryEntry
from reservations.domain.plan import Settlement, plan, settle
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Customer, Reservation
from reservations.domain.verdict import conclude


class Case:
    """One locked reservation at one moment. `reservation` is its latest state."""

    def __init__(self, opened: Opened, at: Moment, *, actor: str) -> None:
        self.reservation = opened.reservation
        self.at = at
        self.left = False
        self.attempts: list[Attempt] = []
        self._opened = opened
        self._actor = actor
        self._notes: list[HistoryEntry] = []
        self._changed = False

    @property
    def customer(self) -> Customer:
        """The personal data, in a case that was opened with them."""
        customer = self._opened.customer
        assert customer is not None
        return customer

    def due(self, provider: Provider) -> Action | None:
        """The next action, if it is at `provider`. The verdict is taken first."""
        standing = conclude(self.reservation.standing, self.at)
        if standing.facts is not self.reservation.facts:
            self.reservation = replace(self.reservation, facts=standing.facts)
        action = plan(standing, self.at)
        return action if isinstance(action, Action) and provider_of(action) is provider else None

    def put(self, reservation: Reservation) -> None:
        """Replace the reservation. The end of the block stores it, with its hints."""
        self.reservation = reservation
        self._changed = True

    def note(self, event: str, detail: str | None = None) -> None:
        """Add a history line that no change of the facts explains."""
        entry = HistoryEntry(event=event, at=self.at.now, actor=self._actor, note=detail)
        self._notes.append(entry)
        self._changed = True

    def prove(self, attempt: Attempt) -> None:
        """Add the evidence of a request to a provider."""
        self.attempts.append(attempt)
        self._changed = True

    def leave(self) -> None:
        """Store nothing: a later case records the work."""
        self.left = True

    def end(self) -> Change | None:
        """Plan again. Return `None` if this case changed nothing and other work waits.

        The poller repeats its hints. If each copy of a hint made another one, a queue that falls
        behind would never catch up.
        """
        before = self._opened.reservation
        settlement = settle(self.reservation, self.at, before=before if self._changed else None)
        if not self._changed and settlement.hints and _waits_for_the_poller(before, settlement):
            return None
        change = Change.of(before, settlement, self.at, actor=self._actor)
        self.reservation = change.after
        return replace(change, history=(*self._notes, *change.history))


def _waits_for_the_poller(before: Reservation, settlement: Settlement) -> bool:
    return before.next_check_at is not None and settlement.reservation.facts == before.facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Opens reservations for a use case, with its unit of work, policy and actor.

    Without a `sender`, the poller publishes the hints, after `hint_grace`.
    """

    uow: UnitOfWork
    policy: Policy
    actor: str = "system"
    sender: HintSender | None = None

    def open(self, reservation_id: UUID, *, customer: bool = False) -> AbstractContextManager[Case]:
        """Lock a reservation in a transaction of its own; `customer` reads the personal data too.

        Raises:
            ReservationNotFoundError: there is no such reservation.
            UnavailableError: the database did not answer.
        """
        return self._begin(lambda: reservation_id, customer=customer)

    def find(self, code: str) -> AbstractContextManager[Case]:
        """Lock the reservation with the code that a person typed; see `open`.

        Raises:
            InvalidReservationCodeError: the text is no code.
            ReservationNotFoundError: there is no such reservation.
        """
        return self._begin(lambda: find_reservation(code, uow=self.uow).reservation_id)

    @contextmanager
    def _begin(self, locate: Callable[[], UUID], *, customer: bool = False) -> Iterator[Case]:
        with self.uow:
            with self.join(locate(), customer=customer) as case:
                yield case
            if not case.left:
                self.uow.commit()
        self.send_hints()

    def send_hints(self) -> None:
        """Send the hints of the last commit. Call it after the transaction; no failure is raised."""
        if self.sender is not None:
            self.sender.send(tuple(self.uow.outbox.stored))

    @contextmanager
    def join(self, reservation_id: UUID, *, customer: bool = False) -> Iterator[Case]:
        """Lock a reservation in the transaction that is under way. Its owner commits."""
        opened = self.uow.open(reservation_id, customer=customer)
        case = Case(opened, Moment(opened.now, self.policy), actor=self.actor)
        yield case
        change = None if case.left else case.end()
        if change is not None:
            self.uow.store(change, attempts=case.attempts)


def find_reservation(code: str, *, uow: UnitOfWork) -> Reservation:
    """Read a reservation by the code that a person typed.

    Raises:
        InvalidReservationCodeError: the text is no code.
        ReservationNotFoundError: there is no such reservation.
    """
    reservation = uow.reservations.find(canonical(code))
    if reservation is None:
        raise ReservationNotFoundError
    return reservation
