"""Acts of operators on a reservation. Each is in its history, with the actor."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from reservations.application.cancel_reservation import close_case
from reservations.application.cases import Case, Cases, find_reservation
from reservations.application.ports import (
    DeadLetter,
    DeadLetters,
    DocumentStore,
    Opened,
    Oversight,
    Retention,
    Source,
)
from reservations.application.vouchers import earlier_keys
from reservations.domain import history
from reservations.domain.access_token import KeyRing
from reservations.domain.decisions import (
    DecisionRefusedError,
    nudge,
    refuse_to_erase,
    resolve,
)
from reservations.domain.facts import PROVIDER_OF, Decision, Provider
from reservations.domain.fulfilment import (
    ask_again,
    ask_for,
    is_told,
    send_again,
    sendable_again,
)
from reservations.domain.history import HistoryEntry
from reservations.domain.reservation import ERASED, Customer, MailKind, Reservation

PAGE = 100  # reservations made due at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Counts of the reservations and calls that `reconcile` made due."""

    reservations: int
    payments_calls: int
    supplier_calls: int


def check_now(code: str, *, cases: Cases) -> Reservation:
    """Make due now every call of a reservation, and each mail that was given up.

    Raises:
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        case.put(ask_again(case.reservation, case.at))
        _nudge(case)
    return case.reservation


def _nudge(case: Case) -> None:
    case.note(history.NUDGED)
    facts = nudge(case.reservation.facts, case.at.now)
    case.put(replace(case.reservation, facts=facts))


def reconcile(since: datetime, *, cases: Cases, oversight: Oversight) -> Reconciled:
    """Make due every reservation with a call that is open or was closed `since`.

    A call that was sent `since` is one of them. The steps then inquire.
    """
    due = dict.fromkeys((*_with_open_call(oversight), *_with_closed_call(oversight, since=since)))
    looked = [_look_at(each, cases=cases) for each in due]
    calls = [PROVIDER_OF[call.operation] for each in looked for call in each.facts.calls]
    return Reconciled(
        reservations=len(looked),
        payments_calls=calls.count(Provider.PAYMENTS),
        supplier_calls=calls.count(Provider.SUPPLIER),
    )


def _look_at(reservation_id: UUID, *, cases: Cases) -> Reservation:
    with cases.open(reservation_id) as case:
        _nudge(case)
    return case.reservation


def _with_open_call(oversight: Oversight) -> Iterator[UUID]:
    after = None
    while page := oversight.with_open_call(after=after, limit=PAGE):
        yield from page
        after = page[-1]


def _with_closed_call(oversight: Oversight, *, since: datetime) -> Iterator[UUID]:
    after = None
    while page := oversight.with_closed_call(since=since, after=after, limit=PAGE):
        yield from (reservation_id for _, reservation_id in page)
        since, after = page[-1]


def resolve_review(
    code: str,
    decision: Decision,
    *,
    evidence: str,
    cases: Cases,
    target: str | None = None,
) -> Reservation:
    """Record an operator's decision, with the reference that proves it.

    Raises:
        DecisionRefusedError: see `decisions.resolve`.
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        facts = resolve(case.reservation.facts, decision, evidence, case.at, target=target)
        case.note(history.REVIEW_RESOLVED, f"{decision} {evidence}")
        case.put(replace(case.reservation, facts=facts))
    return case.reservation


def cancel(code: str, *, cases: Cases) -> Reservation:
    """Cancel in place of the customer. An unconfirmed trip can be cancelled on any day.

    Raises:
        NotCancellableError: see `close_case`.
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        close_case(case, by_operator=True)
    return case.reservation


def reissue_token(code: str, *, cases: Cases, keys: KeyRing) -> Reservation:
    """Revoke the access token of a reservation, and move it to the current key.

    Raises:
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        case.note(history.TOKEN_REISSUED)
        case.put(with_new_token(case.reservation, keys=keys))
    return case.reservation


def with_new_token(reservation: Reservation, *, keys: KeyRing) -> Reservation:
    """The reservation with another access token, of the current key."""
    version = reservation.token_version + 1
    return replace(reservation, token_kid=keys.current, token_version=version)


def resend_mail(code: str, kind: MailKind | None, *, cases: Cases) -> MailKind:
    """Make one more copy of a mail due: of this kind, else of the last one that fits the status.

    Raises:
        DecisionRefusedError: no such mail fits the status, or the personal data are erased.
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        _refuse_erased(case, cases=cases)
        kinds = sendable_again(case.reservation, case.at.now)
        if not kinds or kind not in (None, *kinds):
            fitting = ", ".join(kinds) or "no mail yet"
            raise DecisionRefusedError(f"the mails that fit its status: {fitting}")
        chosen = kind or kinds[-1]
        case.note(history.MAIL_ASKED, chosen)
        case.put(send_again(case.reservation, chosen, case.at))
    return chosen


def _refuse_erased(case: Case, *, cases: Cases) -> Customer:
    customer = cases.uow.reservations.customer(case.reservation.reservation_id)
    if customer == ERASED:
        raise DecisionRefusedError("its personal data are erased")
    return customer


def change_address(
    code: str, email: str, *, evidence: str, cases: Cases, keys: KeyRing
) -> Reservation:
    """Change a customer's mail address, and revoke the links that the old one received.

    The notice to the old address is due in the same transaction.

    Raises:
        DecisionRefusedError: it has this address already, the address before was not told yet, or
            the personal data are erased.
        ReservationNotFoundError: see `Cases.find`.
    """
    with cases.find(code) as case:
        customer = _refuse_erased(case, cases=cases)
        if customer.email == email:
            raise DecisionRefusedError("it has this address already")
        if not is_told(case.reservation, case.at):
            raise DecisionRefusedError("the notice to the address before it has not left yet")
        cases.uow.reservations.change_address(
            case.reservation.reservation_id, email, former=customer.email
        )
        case.note(history.ADDRESS_CHANGED, evidence)
        notice = ask_for(MailKind.ADDRESS_CHANGED, case.at.now)
        case.put(with_new_token(case.reservation, keys=keys).put_send(notice))
    return case.reservation


def erase(code: str, *, cases: Cases, store: DocumentStore) -> bool:
    """Delete the personal data and the documents. The history of the money stays.

    Return `False` if they were deleted before.

    Raises:
        DecisionRefusedError: money or a mail may still need them.
        DocumentStoreUnavailableError: a document may be left; a retry is safe.
        ReservationNotFoundError: see `find_reservation`.
    """
    with cases.uow as uow:
        reservation = find_reservation(code, uow=uow)
        refuse_to_erase(reservation, uow.now())
    removed = remove_documents(reservation.reservation_id, cases=cases, store=store)
    with cases.uow as uow:
        opened = uow.open(reservation.reservation_id)
        refuse_to_erase(opened.reservation, opened.now)
        erased = forget(opened, cases=cases)
        uow.commit()
    return erased or removed


def forget(opened: Opened, *, cases: Cases) -> bool:
    """Delete the personal data of a locked reservation. Return `False` if it has no such data."""
    reservation_id = opened.reservation.reservation_id
    erased = cases.uow.reservations.erase_customer(reservation_id)
    if erased:
        line = HistoryEntry(event=history.CUSTOMER_ERASED, at=opened.now, actor=cases.actor)
        cases.uow.reservations.add_history(reservation_id, line)
    return erased


def remove_documents(reservation_id: UUID, *, cases: Cases, store: DocumentStore) -> bool:
    """Delete the objects, mark them, and delete them again.

    Retention does not search for a marked object, so the first delete precedes the mark. A reader
    may have stored one again in between.

    Raises:
        DocumentStoreUnavailableError: a retry is safe.
    """
    with cases.uow as uow:
        reservation = uow.open(reservation_id).reservation
    kept = [
        key
        for document in reservation.documents
        if document.removed_at is None
        for key in (*earlier_keys(document.s3_key), document.s3_key)
    ]
    for key in kept:
        store.delete(key)
    if not kept:
        return False
    with cases.open(reservation_id) as case:
        documents = tuple(
            replace(document, removed_at=document.removed_at or case.at.now)
            for document in case.reservation.documents
        )
        case.put(replace(case.reservation, documents=documents))
    for key in kept:
        store.delete(key)
    return True


def redrive(
    queue: Source, *, rate: float, letters: DeadLetters, retention: Retention, actor: str
) -> int:
    """Send the dead letters of a queue again. Return their number.

    Raises:
        QueueUnavailableError: the other letters are still there; a retry is safe.
    """
    tell = _teller(history.MESSAGE_REDRIVEN, retention=retention, actor=actor)
    return letters.redrive(queue, rate=rate, tell=tell)


def drop(
    queue: Source, *, rate: float, letters: DeadLetters, retention: Retention, actor: str
) -> int:
    """Delete the dead letters of a queue for good. Return their number.

    Raises:
        QueueUnavailableError: the other letters are still there; a retry is safe.
    """
    tell = _teller(history.MESSAGE_DROPPED, retention=retention, actor=actor)
    return letters.drop(queue, rate=rate, tell=tell)


def _teller(event: str, *, retention: Retention, actor: str) -> Callable[[DeadLetter], None]:
    def tell(letter: DeadLetter) -> None:
        if letter.reservation_id is not None:  # an unreadable letter has no reservation
            retention.tell(letter.reservation_id, event, actor=actor)

    return tell
