"""Bounces and complaints as SES publishes them
(docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from reservations.adapters.aws.hint_codec import PoisonMessageError
from reservations.application.record_mail_event import MailEvent
from reservations.domain.reservation import MailFeedback, MailKind

# The tags of our mails, repeated in each event about them.
RESERVATION_TAG = "reservation_id"
KIND_TAG = "mail_kind"

_GREETING = "Successfully validated SNS topic for Amazon SES event publishing."
_SUPPRESSED = (
    "OnAccountSuppressionList"  # after an earlier complaint: this mail was never delivered
)


class _Ses(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class _Tags(BaseModel):
    reservation_id: tuple[UUID]
    mail_kind: tuple[MailKind]


class _Mail(BaseModel):
    tags: _Tags


class _BounceFacts(_Ses):
    bounce_type: Literal["Permanent", "Transient", "Undetermined"]


class _ComplaintFacts(_Ses):
    complaint_sub_type: str | None = None


class _Bounce(_Ses):
    event_type: Literal["Bounce"]
    mail: _Mail
    bounce: _BounceFacts

    @property
    def feedback(self) -> MailFeedback:
        transient = self.bounce.bounce_type == "Transient"
        return MailFeedback.RETURNED if transient else MailFeedback.BOUNCED


class _Complaint(_Ses):
    event_type: Literal["Complaint"]
    mail: _Mail
    complaint: _ComplaintFacts

    @property
    def feedback(self) -> MailFeedback:
        suppressed = self.complaint.complaint_sub_type == _SUPPRESSED
        return MailFeedback.BOUNCED if suppressed else MailFeedback.COMPLAINED


_EVENT = TypeAdapter[_Bounce | _Complaint](
    Annotated[_Bounce | _Complaint, Field(discriminator="event_type")]
)


def decode_mail_event(body: str) -> MailEvent | None:
    """Read an event without its personal data. Return `None` for the greeting that SES sends at set-up.

    Raises:
        PoisonMessageError: the body is no bounce or complaint about a mail of ours.
    """
    if body == _GREETING:
        return None
    try:
        event = _EVENT.validate_json(body)
    except ValidationError:
        raise PoisonMessageError("not_a_mail_event") from None
    [reservation_id], [kind] = event.mail.tags.reservation_id, event.mail.tags.mail_kind
    return MailEvent(reservation_id=reservation_id, kind=kind, feedback=event.feedback)
