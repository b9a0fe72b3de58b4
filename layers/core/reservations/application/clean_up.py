"""Delete expired rows, documents and personal data, in bounded batches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.operate import forget, remove_documents
from reservations.application.ports import DocumentStore, Retention

BATCH = 500  # rows a statement
# After they were published. Dead hints stay until a person has checked them.
HINTS_KEPT = timedelta(days=14)
WEBHOOKS_KEPT = timedelta(days=30)  # longer than any provider delivers one again
CLAIMS_KEPT = timedelta(days=2)  # longer than a paid one counts
UNPAID_MAILS_KEPT = timedelta(hours=1)  # as long as they count
DOCUMENTS_KEPT = timedelta(days=180)  # after the trip
REMOVED_AGAIN = timedelta(days=2)  # two runs after the removal
PERSONAL_DATA_KEPT = timedelta(days=730)  # after the trip: 24 months
ACTOR = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """Counts of deleted rows, documents and travelers."""

    hints: int = 0
    webhooks: int = 0
    idempotency_keys: int = 0
    claims: int = 0
    unpaid_mails: int = 0
    documents: int = 0
    travelers: int = 0


def clean_up(
    finished: Callable[[], bool],
    *,
    retention: Retention,
    cases: Cases,
    store: DocumentStore,
) -> Cleaned:
    """Delete until nothing expired is left, or until `finished`. The next run deletes the rest.

    Raises:
        UnavailableError: the database or the store did not answer; a retry goes on from there.
    """
    cases = replace(cases, actor=ACTOR)

    def batches(delete: Callable[[], int]) -> int:
        total = 0
        while not finished() and (deleted := delete()):
            total += deleted
        return total

    def remove() -> int:
        due = retention.documents_to_remove(older_than=DOCUMENTS_KEPT, limit=BATCH)
        return sum(
            remove_documents(each, cases=cases, store=store) for each in due if not finished()
        )

    def forget_travelers() -> int:
        due = retention.travelers_to_forget(older_than=PERSONAL_DATA_KEPT, limit=BATCH)
        return sum(_forget(each, cases=cases) for each in due if not finished())

    cleaned = Cleaned(
        hints=batches(lambda: retention.delete_published_hints(older_than=HINTS_KEPT, limit=BATCH)),
        webhooks=batches(lambda: retention.delete_webhooks(older_than=WEBHOOKS_KEPT, limit=BATCH)),
        idempotency_keys=batches(lambda: retention.delete_expired_keys(limit=BATCH)),
        claims=batches(lambda: retention.delete_claims(older_than=CLAIMS_KEPT, limit=BATCH)),
        unpaid_mails=batches(
            lambda: retention.delete_unpaid_mails(older_than=UNPAID_MAILS_KEPT, limit=BATCH)
        ),
        travelers=batches(forget_travelers),
        documents=batches(remove),  # late: the store may fail
    )
    _remove_again(finished, retention=retention, store=store)
    return cleaned


def _remove_again(
    finished: Callable[[], bool], *, retention: Retention, store: DocumentStore
) -> None:
    """Delete recently removed documents again: a reader may have re-created one and crashed."""
    last = 0
    while not finished() and (
        page := retention.removed_documents(within=REMOVED_AGAIN, after=last, limit=BATCH)
    ):
        for _, key in page:
            store.delete(key)
        last, _ = page[-1]


def _forget(reservation_id: UUID, *, cases: Cases) -> bool:
    with cases.uow as uow:
        opened = uow.open(reservation_id)
        if opened.reservation.next_check_at is not None:
            return False  # a reservation that reopened since the query still needs the traveler
        forgotten = forget(opened, cases=cases)
        uow.commit()
        return forgotten
