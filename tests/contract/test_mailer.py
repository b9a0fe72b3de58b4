"""Promises of every mailer, and the meaning of each answer or silence of SES."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_string
from email.message import Message

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from botocore.stub import ANY, Stubber
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import RawMessage, ses_backends
from mypy_boto3_ses import SESClient

from reservations.adapters.aws.ses import SES_CONFIG, SesMailer
from reservations.application.ports import (
    Mail,
    MailAccepted,
    Mailer,
    MailNotSent,
    MailRefused,
    MailUnknown,
    Notice,
)
from reservations.domain.money import Money
from reservations.domain.reservation import Language, MailKind
from tests.worlds.builders import NOON, RESERVATION_ID, an_offer
from tests.worlds.fakes import RecordingMailer

SENDER = "reservas@viajes.example"
SET = "reservations-test"
A_MAIL = Mail(
    reservation_id=RESERVATION_ID,
    kind=MailKind.CONFIRMED,
    language=Language.SPANISH,
    to="ana@example.com",
    guest="Ana Pérez",
    code="6MWUT4A5HT4",
    quoted=False,
    offer=an_offer(),
    price=Money(34250, "EUR"),
    supplier_locator="SUP-84K2LQ",
    refund=None,
    refund_done=False,
    support_contact="+34 910 000 000",
    at=NOON,
    voucher_pdf=b"%PDF-1.7",
)


def a_client(*, config: Config = SES_CONFIG, endpoint_url: str | None = None) -> SESClient:
    return boto3.client(
        "ses",
        region_name="eu-west-1",
        endpoint_url=endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


@pytest.fixture
def ses() -> Iterator[SESClient]:
    with mock_aws():
        client = a_client()
        client.verify_email_identity(EmailAddress=SENDER)
        yield client


@pytest.fixture(params=["recording", "ses"])
def mailer(request: pytest.FixtureRequest) -> Mailer:
    if request.param == "recording":
        return RecordingMailer()
    return SesMailer(request.getfixturevalue("ses"), sender=SENDER, configuration_set=SET)


def test_each_accepted_mail_has_an_id_of_its_own(mailer: Mailer) -> None:
    first, second = mailer.send(A_MAIL), mailer.send(A_MAIL)

    assert isinstance(first, MailAccepted)
    assert isinstance(second, MailAccepted)
    assert first.message_id != second.message_id


@pytest.mark.parametrize("address", ["", "ana", "añá@example.com", "a@example.com, b@example.com"])
def test_an_address_that_cannot_be_mailed_is_refused(mailer: Mailer, address: str) -> None:
    assert mailer.send(replace(A_MAIL, to=address)) == MailRefused()


@pytest.mark.parametrize("language", Language)
def test_a_notice_names_the_reservation_and_no_person(ses: SESClient, language: Language) -> None:
    notice = Notice(
        to="old@example.com", language=language, code=A_MAIL.code, support_contact="+34 910 000 000"
    )

    assert isinstance(
        SesMailer(ses, sender=SENDER, configuration_set=SET).notify(notice), MailAccepted
    )

    [sent] = ses_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].sent_messages
    assert isinstance(sent, RawMessage)
    assert set(sent.destinations) == {"old@example.com"}
    parts = message_from_string(sent.raw_data).get_payload()
    assert len(parts) == 2
    for part in parts:
        assert isinstance(part, Message)
        body = part.get_payload(decode=True)
        assert isinstance(body, bytes)
        assert "6MWUT-4A5HT-4" in body.decode()
        assert "+34 910 000 000" in body.decode()


@pytest.mark.parametrize("address", ["", "ana", "a@example.com, b@example.com"])
def test_a_notice_to_no_address_is_refused(mailer: Mailer, address: str) -> None:
    notice = Notice(to=address, language=Language.SPANISH, code=A_MAIL.code, support_contact="x")

    assert mailer.notify(notice) == MailRefused()


def test_ses_is_handed_the_whole_mail_for_its_one_recipient(ses: SESClient) -> None:
    SesMailer(ses, sender=SENDER, configuration_set=SET).send(A_MAIL)

    [sent] = ses_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"].sent_messages
    assert isinstance(sent, RawMessage)
    message = message_from_string(sent.raw_data)
    assert set(sent.destinations) == {"ana@example.com"}
    assert message["To"] == "ana@example.com"
    assert [part.get_content_type() for part in message.walk() if not part.is_multipart()] == [
        "text/plain",
        "text/html",
        "application/pdf",
        "text/calendar",
    ]


def test_a_mail_carries_the_tags_that_identify_its_bounce() -> None:
    client = a_client()
    tags = [
        {"Name": "reservation_id", "Value": str(RESERVATION_ID)},
        {"Name": "mail_kind", "Value": "confirmed"},
    ]
    expected = {
        "Source": SENDER,
        "Destinations": [A_MAIL.to],
        "RawMessage": ANY,
        "ConfigurationSetName": SET,
        "Tags": tags,
    }
    with Stubber(client) as stubber:
        stubber.add_response("send_raw_email", {"MessageId": "ses-1"}, expected)
        mailer = SesMailer(client, sender=SENDER, configuration_set=SET)
        assert mailer.send(A_MAIL) == MailAccepted("ses-1")


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        ("MessageRejected", 400, MailRefused()),
        ("InvalidParameterValue", 400, MailRefused()),
        ("ValidationError", 400, MailRefused()),
        ("Throttling", 400, MailNotSent()),
        ("ThrottlingException", 429, MailNotSent()),
        ("AccountSendingPausedException", 400, MailNotSent()),
        ("ConfigurationSetSendingPausedException", 400, MailNotSent()),
        ("ConfigurationSetDoesNotExist", 400, MailNotSent()),
        ("MailFromDomainNotVerifiedException", 400, MailNotSent()),
        ("AccessDenied", 403, MailNotSent()),
        ("ExpiredToken", 403, MailNotSent()),
        ("InternalFailure", 500, MailUnknown()),
        ("ServiceUnavailable", 503, MailUnknown()),
    ],
)
def test_the_outcome_of_each_error_of_ses(code: str, status: int, outcome: object) -> None:
    client = a_client()
    with Stubber(client) as stubber:
        stubber.add_client_error("send_raw_email", code, http_status_code=status)

        assert SesMailer(client, sender=SENDER, configuration_set=SET).send(A_MAIL) == outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (EndpointConnectionError(endpoint_url="u"), MailNotSent()),
        (ConnectTimeoutError(endpoint_url="u"), MailNotSent()),
        (ProxyConnectionError(proxy_url="u"), MailNotSent()),
        (NoCredentialsError(), MailNotSent()),
        (CredentialRetrievalError(provider="p", error_msg="e"), MailNotSent()),
        (ReadTimeoutError(endpoint_url="u"), MailUnknown()),
        (ConnectionClosedError(endpoint_url="u"), MailUnknown()),
        (SSLError(endpoint_url="u", error=OSError()), MailUnknown()),
        (HTTPClientError(error="e"), MailUnknown()),
        (ResponseParserError("not XML"), MailUnknown()),
        (ParamValidationError(report="r"), MailRefused()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_outcome_of_each_missing_answer_of_ses(error: Exception, outcome: object) -> None:
    client = a_client()

    def fail(**_: object) -> None:
        raise error

    client.meta.events.register("before-send.ses.SendRawEmail", fail)

    assert SesMailer(client, sender=SENDER, configuration_set=SET).send(A_MAIL) == outcome


def test_a_refused_connection_sent_nothing(unused_port: int) -> None:
    client = a_client(endpoint_url=f"http://127.0.0.1:{unused_port}")

    assert SesMailer(client, sender=SENDER, configuration_set=SET).send(A_MAIL) == MailNotSent()


def test_a_silent_server_gets_one_request_and_leaves_the_outcome_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = a_client(
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            config=SES_CONFIG.merge(Config(read_timeout=0.2)),
        )

        assert SesMailer(client, sender=SENDER, configuration_set=SET).send(A_MAIL) == MailUnknown()

        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
