"""Which adapter stands behind each port.

Clients, the engine and settings are made at first use and kept while the execution environment lives, but for
settings that rotate; a unit of work never is. Adapters are imported where they are made, so that no function pays at
its cold start for another's.
"""

import os
import random
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from reservations import config, tracing
from reservations.adapters.aws.ssm import SSM_BRIEF_CONFIG, SSM_CONFIG, SsmParameters
from reservations.application import ports
from reservations.domain.access_token import KeyRing
from reservations.domain.messages import Queue
from reservations.domain.policy import Policy

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from sqlalchemy import URL, Engine

    from reservations.adapters.aws.sqs import SqsDeadLetters
    from reservations.adapters.mysql.engine import Database
    from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore

_JITTER = 0.2  # of the ladder, either way
_random = random.SystemRandom()


def _utc_now() -> datetime:
    return datetime.now(UTC)


# --- settings


@cache
def _ssm() -> "SSMClient":
    return boto3.client("ssm", config=SSM_CONFIG)


def _read(names: Collection[str]) -> Mapping[str, str]:
    return SsmParameters(_ssm()).read(names)


@cache
def _brief_ssm() -> "SSMClient":
    return boto3.client("ssm", config=SSM_BRIEF_CONFIG)


def _read_anew(names: Collection[str]) -> Mapping[str, str]:
    return SsmParameters(_brief_ssm()).read(names)


@cache
def _reader() -> config.SettingsReader:
    path = config.from_environment(config.ParameterPath, os.environ)
    return config.SettingsReader(path, read=_read, read_anew=_read_anew, now=_utc_now)


def prepare(*own: type[config.Settings]) -> None:
    """Read a function's `own` settings and those that all have, together: all that it lacks is told at once.

    Raises:
        SettingsError: see `SettingsReader.prepare`.
    """
    _reader().prepare(config.DatabaseSettings, config.SagaSettings, *own)


def _settings(model: type[config.S]) -> config.S:
    return _reader().of(model)


def durations() -> Policy:
    """How long everything lasts, for whoever only reads."""
    return _settings(config.SagaSettings).saga_policy.durations()


def policy() -> Policy:
    """The same for one piece of work, the ladder stretched at random: what failed together comes back apart."""
    return durations().jittered(_random.uniform(1 - _JITTER, 1 + _JITTER))


def key_ring() -> KeyRing:
    return _settings(config.AccessTokenSettings).key_ring


def api_settings() -> config.ApiSettings:
    return _settings(config.ApiSettings)


def allowed_origin() -> str:
    return config.from_environment(config.BrowserSettings, os.environ).allowed_origin


def webhook_settings() -> config.WebhookSettings:
    return _settings(config.WebhookSettings)


def support_contact() -> str:
    return _settings(config.ContactSettings).support_contact


def public_base_url() -> str:
    return api_settings().public_base_url


# --- the database


def _token(address: "URL") -> str:
    from reservations.adapters.mysql.iam import iam_token

    return iam_token(_ssm(), address)


def _engine(**limits: int) -> "Engine":
    from reservations.adapters.mysql.engine import engine_for

    url = _settings(config.DatabaseSettings).database_url.get_secret_value()
    return engine_for(url, token=_token, **limits)


@cache
def _database(*, ping: bool) -> "Database":
    from reservations.adapters.mysql.engine import Database

    return Database(_engine(), ping=ping)


def unit_of_work(*, ping: bool = False) -> ports.UnitOfWork:
    """A transaction of its own; workers `ping` first, as their connection has slept between messages."""
    from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork

    return MySqlUnitOfWork(_database(ping=ping), policy=durations(), traceparent=tracing.current())


def joined_unit_of_work() -> ports.UnitOfWork:
    """Part of the transaction of `idempotency_store`, which commits it."""
    from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork

    return JoinedUnitOfWork(
        _database(ping=False), policy=durations(), traceparent=tracing.current()
    )


def idempotency_store(*, client_id: str, operation: str, key: str) -> "MySqlIdempotencyStore":
    from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore

    database = _database(ping=False)
    return MySqlIdempotencyStore(database, client_id=client_id, operation=operation, key=key)


@cache
def _unhurried_database() -> "Database":
    """For what reads or deletes across reservations: seconds, not milliseconds."""
    from reservations.adapters.mysql.engine import Database
    from reservations.adapters.mysql.oversight import ANSWER_SECONDS

    return Database(_engine(answer_seconds=ANSWER_SECONDS), ping=True)


def oversight() -> ports.Oversight:
    from reservations.adapters.mysql.oversight import MySqlOversight

    return MySqlOversight(_unhurried_database(), policy=durations())


def retention() -> ports.Retention:
    from reservations.adapters.mysql.retention import MySqlRetention

    return MySqlRetention(_unhurried_database())


# --- providers


def payments_api() -> ports.PaymentsApi:
    return _payments_api(_settings(config.PaymentsSettings))


@lru_cache(maxsize=1)
def _payments_api(settings: config.PaymentsSettings) -> ports.PaymentsApi:
    from reservations.adapters.providers.payments_api import HttpPaymentsApi
    from reservations.adapters.providers.provider_http import ProviderHttp

    limits = _settings(config.SagaSettings).saga_policy.limits()
    return HttpPaymentsApi(
        ProviderHttp(
            base_url=settings.payments_url,
            api_key=settings.payments_api_key.get_secret_value(),
            connect_seconds=limits.payments_connect,
            read_seconds=limits.payments_read,
            now=_utc_now,
            traceparent=tracing.current,
        )
    )


def supplier_api() -> ports.SupplierApi:
    return _supplier_api(_settings(config.SupplierSettings))


@lru_cache(maxsize=1)
def _supplier_api(settings: config.SupplierSettings) -> ports.SupplierApi:
    from reservations.adapters.providers.provider_http import ProviderHttp
    from reservations.adapters.providers.supplier_api import HttpSupplierApi

    limits = _settings(config.SagaSettings).saga_policy.limits()
    return HttpSupplierApi(
        ProviderHttp(
            base_url=settings.supplier_url,
            api_key=settings.supplier_api_key.get_secret_value(),
            connect_seconds=limits.supplier_connect,
            read_seconds=limits.supplier_read,
            now=_utc_now,
            traceparent=tracing.current,
        )
    )


# --- queues, documents, mail


@cache
def publisher() -> ports.MessagePublisher:
    from reservations.adapters.aws.sqs import SQS_CONFIG, SqsMessagePublisher

    urls = config.from_environment(config.QueueSettings, os.environ)
    return SqsMessagePublisher(
        boto3.client("sqs", config=SQS_CONFIG),
        queue_urls={
            Queue.PAYMENT: urls.payment_queue_url,
            Queue.SUPPLIER: urls.supplier_queue_url,
            Queue.VOUCHER: urls.voucher_queue_url,
            Queue.NOTIFICATION: urls.notification_queue_url,
        },
    )


@cache
def dead_letters() -> "SqsDeadLetters":
    from reservations.adapters.aws.sqs import SQS_CONFIG, SqsDeadLetters

    url = config.from_environment(config.DeadLetterSettings, os.environ).dead_letter_queue_url
    return SqsDeadLetters(boto3.client("sqs", config=SQS_CONFIG), queue_url=url)


@cache
def document_store(*, patient: bool = True) -> ports.DocumentStore:
    from reservations.adapters.aws.s3 import S3_BRIEF_CONFIG, S3_CONFIG, S3DocumentStore

    bucket = config.from_environment(config.DocumentSettings, os.environ).document_bucket
    # Left to choose, botocore signs links for the global host, and S3 sends those to a young bucket on to its region,
    # where the signature is not valid. Where AWS is emulated, only paths name a bucket.
    emulated = "AWS_ENDPOINT_URL" in os.environ
    addressing = Config(s3={"addressing_style": "path" if emulated else "virtual"})
    client = boto3.client(
        "s3", config=(S3_CONFIG if patient else S3_BRIEF_CONFIG).merge(addressing)
    )
    return S3DocumentStore(client, bucket=bucket)


def voucher_renderer() -> ports.VoucherRenderer:
    from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer

    return FpdfVoucherRenderer()


@cache
def mailer() -> ports.Mailer:
    from reservations.adapters.aws.ses import SES_CONFIG, SesMailer

    sender = _settings(config.MailSettings).mail_sender
    feedback = config.from_environment(config.MailFeedbackSettings, os.environ)
    return SesMailer(
        boto3.client("ses", config=SES_CONFIG),
        sender=sender,
        configuration_set=feedback.mail_configuration_set,
    )


def migrate_database() -> str:
    """Bring the schema to this code's revision, and return it."""
    from reservations.adapters.mysql import schema

    schema.upgrade(_engine(answer_seconds=schema.STATEMENT_SECONDS))
    return schema.HEAD
