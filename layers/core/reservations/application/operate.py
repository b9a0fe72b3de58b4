"""What operators do to a reservation; each deed is in its history, with its actor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from reservations.application.cancel_reservation import cancel_reservation
from reservations.application.ports import (
    DeadLetter,
    DeadLetters,
    DocumentStore,
    Oversight,
    Retention,
    Source,
    UnitOfWork,
)
from reservations.application.settlement import settle_and_save
from reservations.domain import history
from reservations.domain.access_token import KeyRing
from reservations.domain.codes import canonical
from reservations.domain.decisions import (
    Decision,
    DecisionRefusedError,
    nudge,
    refuse_to_erase,
    resolve,
)
from reservations.domain.errors import ReservationNotFoundError
from reservations.domain.facts import PROVIDER_OF, Provider
from reservations.domain.fulfilment import ask_again
from reservations.domain.history import HistoryEntry
from reservations.domain.policy import Moment, Policy
from reservations.domain.reservation import Reservation

PAGE = 100  # reservations made due at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How much `reconcile` made due."""

    reservations: int
    payments_calls: int
    supplier_calls: int


def find(code: str, *, uow: UnitOfWork) -> Reservation:
    """Read a reservation by the code a person typed.

    Raises:
        ReservationNotFoundError: there is none.
        InvalidReservationCodeError: it is no code.
    """
    reservation = uow.reservations.find(canonical(code))
    if reservation is None:
        raise ReservationNotFoundError
    return reservation


def look_again(code: str, *, uow: UnitOfWork, policy: Policy, actor: str) -> Reservation:
    """Make every call of a reservation due now, so that its steps ask the providers; and a mail that was given up.

    Raises:
        ReservationNotFoundError: see `find`.
    """
    with uow:
        reservation, now = _locked(find(code, uow=uow).reservation_id, uow=uow)
        at = Moment(now, policy)
        asked = ask_again(reservation, at)
        looked = _look_again(reservation, asked, uow=uow, at=at, actor=actor)
        uow.commit()
        return looked


def _look_again(
    before: Reservation, reservation: Reservation, *, uow: UnitOfWork, at: Moment, actor: str
) -> Reservation:
    _tell(reservation, history.NUDGED, uow=uow, now=at.now, actor=actor)
    nudged = replace(reservation, facts=nudge(reservation.facts, at.now))
    return settle_and_save(before, nudged, uow=uow, at=at, actor=actor)


def reconcile(
    since: datetime, *, uow: UnitOfWork, oversight: Oversight, policy: Policy, actor: str
) -> Looked:
    """Make every reservation due that has a call open, or sent `since`: the steps then ask the providers."""
    looked = [
        _look_at(reservation_id, uow=uow, policy=policy, actor=actor)
        for reservation_id in _to_reconcile(oversight, since=since)
    ]
    calls = [PROVIDER_OF[call.operation] for each in looked for call in each.facts.calls]
    return Looked(
        reservations=len(looked),
        payments_calls=calls.count(Provider.PAYMENTS),
        supplier_calls=calls.count(Provider.SUPPLIER),
    )


def _look_at(reservation_id: UUID, *, uow: UnitOfWork, policy: Policy, actor: str) -> Reservation:
    with uow:
        reservation, now = _locked(reservation_id, uow=uow)
        at = Moment(now, policy)
        looked = _look_again(reservation, reservation, uow=uow, at=at, actor=actor)
        uow.commit()
        return looked


def _to_reconcile(oversight: Oversight, *, since: datetime) -> Iterator[UUID]:
    after = None
    while page := oversight.to_reconcile(since=since, after=after, limit=PAGE):
        yield from page
        after = page[-1]


def resolve_review(
    code: str,
    decision: Decision,
    *,
    evidence: str,
    uow: UnitOfWork,
    policy: Policy,
    actor: str,
    target: str | None = None,
) -> Reservation:
    """Record what an operator attests, with the reference that proves it.

    Raises:
        DecisionRefusedError: see `decisions.resolve`.
        ReservationNotFoundError: see `find`.
    """
    with uow:
        reservation, now = _locked(find(code, uow=uow).reservation_id, uow=uow)
        at = Moment(now, policy)
        facts = resolve(reservation.facts, decision, evidence, at, target=target)
        note = f"{decision} {evidence}"
        _tell(reservation, history.REVIEW_RESOLVED, uow=uow, now=now, actor=actor, note=note)
        resolved = settle_and_save(
            reservation, replace(reservation, facts=facts), uow=uow, at=at, actor=actor
        )
        uow.commit()
        return resolved


def cancel(code: str, *, uow: UnitOfWork, policy: Policy, actor: str) -> Reservation:
    """Cancel for a customer who cannot; what was never confirmed, on whatever day.

    Raises:
        NotCancellableError: it ended otherwise, or its service was confirmed and begins today or has begun.
        ReservationNotFoundError: see `find`.
    """
    with uow:
        reservation_id = find(code, uow=uow).reservation_id
        cancelled = cancel_reservation(
            reservation_id, uow=uow, policy=policy, actor=actor, by_operator=True
        )
        uow.commit()
        return cancelled


def reissue_token(
    code: str, *, uow: UnitOfWork, policy: Policy, keys: KeyRing, actor: str
) -> Reservation:
    """Move a reservation to the current key, so that its old access token opens nothing any more.

    Raises:
        DecisionRefusedError: it is on the current key already, where its token would be the same.
        ReservationNotFoundError: see `find`.
    """
    with uow:
        reservation, now = _locked(find(code, uow=uow).reservation_id, uow=uow)
        if reservation.token_kid == keys.current:
            raise DecisionRefusedError(
                f"its token is of the current key {keys.current}: add a key to access-token-keys,"
                " make it the current one, and reissue"
            )
        _tell(reservation, history.TOKEN_REISSUED, uow=uow, now=now, actor=actor)
        moved = replace(reservation, token_kid=keys.current)
        at = Moment(now, policy)
        moved = settle_and_save(reservation, moved, uow=uow, at=at, actor=actor)
        uow.commit()
        return moved


def erase(code: str, *, uow: UnitOfWork, store: DocumentStore, policy: Policy, actor: str) -> bool:
    """Delete the personal data and the documents; the money's history stays. Tell whether there were any.

    Raises:
        DecisionRefusedError: money or mail may still need them.
        DocumentStoreUnavailableError: a document may be left; repeating is harmless.
        ReservationNotFoundError: see `find`.
    """
    with uow:
        reservation = find(code, uow=uow)
        refuse_to_erase(reservation, uow.now())
    removed = remove_documents(
        reservation.reservation_id, uow=uow, store=store, policy=policy, actor=actor
    )
    with uow:
        reservation, now = _locked(reservation.reservation_id, uow=uow)
        refuse_to_erase(reservation, now)
        erased = forget(reservation, uow=uow, now=now, actor=actor)
        uow.commit()
    return erased or removed


def forget(reservation: Reservation, *, uow: UnitOfWork, now: datetime, actor: str) -> bool:
    """Delete the personal data of a locked reservation; tell whether there were any."""
    erased = uow.reservations.erase_customer(reservation.reservation_id)
    if erased:
        _tell(reservation, history.CUSTOMER_ERASED, uow=uow, now=now, actor=actor)
    return erased


def remove_documents(
    reservation_id: UUID, *, uow: UnitOfWork, store: DocumentStore, policy: Policy, actor: str
) -> bool:
    """Delete the objects first: one that is marked as removed is never looked for again.

    And once more after it: a reader may have made one anew in between.

    Raises:
        DocumentStoreUnavailableError: repeating is harmless.
    """
    with uow:
        reservation, _ = _locked(reservation_id, uow=uow)
    kept = [document.s3_key for document in reservation.documents if document.removed_at is None]
    for key in kept:
        store.delete(key)
    if not kept:
        return False
    with uow:
        reservation, now = _locked(reservation_id, uow=uow)
        documents = tuple(
            replace(document, removed_at=document.removed_at or now)
            for document in reservation.documents
        )
        removed = replace(reservation, documents=documents)
        at = Moment(now, policy)
        settle_and_save(reservation, removed, uow=uow, at=at, actor=actor)
        uow.commit()
    for key in kept:
        store.delete(key)
    return True


def redrive(
    queue: Source, *, rate: float, letters: DeadLetters, retention: Retention, actor: str
) -> int:
    """Send the dead letters of a queue again; return how many.

    Raises:
        QueueUnavailableError: the rest is still there; repeating is harmless.
    """
    tell = _teller(history.MESSAGE_REDRIVEN, retention=retention, actor=actor)
    return letters.redrive(queue, rate=rate, tell=tell)


def drop(
    queue: Source, *, rate: float, letters: DeadLetters, retention: Retention, actor: str
) -> int:
    """Delete the dead letters of a queue for good; return how many.

    Raises:
        QueueUnavailableError: the rest is still there; repeating is harmless.
    """
    tell = _teller(history.MESSAGE_DROPPED, retention=retention, actor=actor)
    return letters.drop(queue, rate=rate, tell=tell)


def _teller(event: str, *, retention: Retention, actor: str) -> Callable[[DeadLetter], None]:
    def tell(letter: DeadLetter) -> None:
        if letter.reservation_id is not None:  # what cannot be read is of no reservation
            retention.tell(letter.reservation_id, event, actor=actor)

    return tell


def _locked(reservation_id: UUID, *, uow: UnitOfWork) -> tuple[Reservation, datetime]:
    reservation = uow.reservations.lock(reservation_id)
    return reservation, uow.now()


def _tell(
    reservation: Reservation,
    event: str,
    *,
    uow: UnitOfWork,
    now: datetime,
    actor: str,
    note: str | None = None,
) -> None:
    entry = HistoryEntry(event=event, at=now, actor=actor, note=note)
    uow.reservations.add_history(reservation.reservation_id, entry)
