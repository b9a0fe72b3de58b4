"""Delete expired rows, documents and personal data, in bounded batches."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from reservations.application.cases import Cases
from reservations.application.operate import forget, remove_documents
from reservations.application.ports import (
    Checkpoint,
    Checkpoints,
    DocumentStore,
    Expired,
    Retention,
)
from reservations.domain.errors import DocumentStoreUnavailableError

BATCH = 500  # rows a statement
READ = 2000  # reservations read at once, few of which have anything to delete
PAGES = 200  # in a run
RETENTION = "retention"  # the job with a checkpoint
# After they were published. Dead hints stay until a person has checked them.
HINTS_KEPT = timedelta(days=14)
WEBHOOKS_KEPT = timedelta(days=30)  # longer than any provider delivers one again
CLAIMS_KEPT = timedelta(days=2)  # longer than a paid one counts
UNPAID_MAILS_KEPT = timedelta(hours=1)  # as long as they count
DOCUMENTS_KEPT = timedelta(days=180)  # after the trip
REMOVED_AGAIN = timedelta(hours=12)  # several runs after the removal
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
    checkpoints: Checkpoints,
    cases: Cases,
    store: DocumentStore,
) -> Cleaned:
    """Delete until nothing expired is left in `PAGES`, or until `finished`. The next run goes on from there.

    Each kind has a batch in turn, so that no backlog holds up another kind.

    Raises:
        UnavailableError: the database or the store did not answer; a retry goes on from there.
            Personal data are deleted although the store does not answer.
    """
    cases = replace(cases, actor=ACTOR)
    counts: Counter[str] = Counter()
    failed: list[DocumentStoreUnavailableError] = []
    further = iter(range(1, PAGES))
    due: dict[str, Callable[[], int]] = {
        "hints": lambda: retention.delete_published_hints(older_than=HINTS_KEPT, limit=BATCH),
        "webhooks": lambda: retention.delete_webhooks(older_than=WEBHOOKS_KEPT, limit=BATCH),
        "idempotency_keys": lambda: retention.delete_expired_keys(limit=BATCH),
        "claims": lambda: retention.delete_claims(older_than=CLAIMS_KEPT, limit=BATCH),
        "unpaid_mails": lambda: retention.delete_unpaid_mails(
            older_than=UNPAID_MAILS_KEPT, limit=BATCH
        ),
    }

    def delete(kind: str) -> bool:
        """Delete a batch. Return `False` at the end."""
        deleted = due[kind]()
        counts[kind] += deleted
        return deleted > 0

    def go_on() -> bool:
        """Delete the documents and travelers of the next page. Return `False` after the last one of this run."""
        place = checkpoints.get(RETENTION)
        page = retention.expired(
            after=place.reservation_id,
            limit=READ,
            travelers_after=PERSONAL_DATA_KEPT,
            documents_after=DOCUMENTS_KEPT,
            removed_within=REMOVED_AGAIN,
        )
        for each in page.travelers:
            if finished():
                return False  # the next run reads the page again, without what is done
            counts["travelers"] += _forget(each, cases=cases)
        try:
            for each in page.documents if not failed else ():
                if finished():
                    return False
                counts["documents"] += remove_documents(each, cases=cases, store=store)
            for key in page.removed if not failed else ():
                store.delete(key)  # a reader may have stored it again and crashed
        except DocumentStoreUnavailableError as error:  # the next pass finds its documents again
            failed.append(error)
        moved = checkpoints.move(place, _after(place, page))
        return moved and page.last is not None and next(further, None) is not None

    jobs: list[Callable[[], bool]] = [*(partial(delete, kind) for kind in due), go_on]
    while jobs:
        jobs = [job for job in jobs if not finished() and job()]
    if failed:
        raise failed[0]
    return Cleaned(**counts)


def _after(place: Checkpoint, page: Expired) -> Checkpoint:
    """The place behind a page. After the last page a new pass begins."""
    began_at = place.read_at if place.reservation_id is None else place.began_at
    if page.last is None:
        return replace(place, reservation_id=None, began_at=began_at, whole_at=began_at)
    return replace(place, reservation_id=page.last, began_at=began_at)


def _forget(reservation_id: UUID, *, cases: Cases) -> bool:
    with cases.uow as uow:
        opened = uow.open(reservation_id)
        if opened.reservation.next_check_at is not None:
            return False  # a reservation that reopened since the query still needs the traveler
        forgotten = forget(opened, cases=cases)
        uow.commit()
        return forgotten
