"""Sends mail by Amazon SES, version 1 of its API."""

from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
)
from botocore.parsers import ResponseParserError

from reservations.adapters.aws.ses_events import KIND_TAG, RESERVATION_TAG
from reservations.adapters.papers.mail_content import compose, compose_notice
from reservations.adapters.papers.recipient import UnmailableAddressError
from reservations.application.ports import (
    Mail,
    MailAccepted,
    Mailer,
    MailNotSent,
    MailOutcome,
    MailRefused,
    MailUnknown,
    Notice,
)

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# No retries in the SDK: SES has no idempotency key, so a repeat is decided by the send ledger.
SES_CONFIG = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1})

# docs.aws.amazon.com/ses/latest/APIReference/API_SendRawEmail.html and its common errors
_ABOUT_THIS_MAIL = {"MessageRejected", "InvalidParameterValue", "ValidationError"}
_BEFORE_ANY_REQUEST = (
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ProxyConnectionError,
)


class SesMailer(Mailer):
    """Sends from one verified address. The configuration set publishes bounces and complaints."""

    def __init__(self, ses: "SESClient", *, sender: str, configuration_set: str) -> None:
        self._ses = ses
        self._sender = sender
        self._configuration_set = configuration_set

    def notify(self, notice: Notice) -> MailOutcome:
        try:
            content = compose_notice(notice, sender=self._sender).as_bytes()
        except UnmailableAddressError:
            return MailRefused()
        return self._send(notice.to, content)

    def send(self, mail: Mail) -> MailOutcome:
        try:
            content = compose(mail, sender=self._sender).as_bytes()
        except UnmailableAddressError:
            return MailRefused()
        tags = [
            {"Name": RESERVATION_TAG, "Value": str(mail.reservation_id)},
            {"Name": KIND_TAG, "Value": mail.kind},
        ]
        # Bounces and complaints are published with the tags, by which they are recorded.
        return self._send(mail.to, content, ConfigurationSetName=self._configuration_set, Tags=tags)

    def _send(self, to: str, content: bytes, **options: Any) -> MailOutcome:
        try:
            answer = self._ses.send_raw_email(
                Source=self._sender,
                Destinations=[to],
                RawMessage={"Data": content},
                **options,
            )
        except ClientError as error:
            return _outcome_of_refusal(error)
        except ParamValidationError:
            return MailRefused()
        except _BEFORE_ANY_REQUEST:
            return MailNotSent()
        except (BotoCoreError, ResponseParserError):
            return MailUnknown()
        return MailAccepted(answer["MessageId"])


def _outcome_of_refusal(error: ClientError) -> MailOutcome:
    """A 4xx sent nothing. Unless it is about this mail, it is temporary: throttling, a pause, a setting."""
    if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
        return MailUnknown()
    return MailRefused() if error.response["Error"]["Code"] in _ABOUT_THIS_MAIL else MailNotSent()
