"""Record a bounce or a complaint: the mail may not have reached the traveler."""

from dataclasses import dataclass
from uuid import UUID

from reservations.application.ports import UnitOfWork
from reservations.domain.history import FEEDBACK, HistoryEntry
from reservations.domain.reservation import MailFeedback, MailKind

ACTOR = "ses"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailEvent:
    """Feedback about a mail of a reservation."""

    reservation_id: UUID
    kind: MailKind
    feedback: MailFeedback


def record_mail_event(event: MailEvent, *, uow: UnitOfWork) -> bool:
    """Put the event on the reservation's timeline. Return `False` if it is there already.

    It changes no fact: a person decides whether to call the traveler.

    Raises:
        ReservationNotFoundError: there is no such reservation.
        UnavailableError: the database did not answer; a retry is safe.
    """
    line = FEEDBACK[event.kind, event.feedback]
    with uow:
        opened = uow.open(event.reservation_id)  # of two deliveries, one waits here
        if any(entry.event == line for entry in uow.reservations.history(event.reservation_id)):
            return False
        entry = HistoryEntry(event=line, at=opened.now, actor=ACTOR)
        uow.reservations.add_history(event.reservation_id, entry)
        uow.commit()
    return True
