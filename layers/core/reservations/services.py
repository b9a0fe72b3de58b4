"""The composition root: the adapter behind each port.

Adapters are imported where they are made, so that no function pays at its cold start for another's.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from reservations import config, tracing
from reservations.adapters.aws.ssm import SSM_BRIEF_CONFIG, SSM_CONFIG, SsmParameters
from reservations.application import ports
from reservations.application.cases import Cases
from reservations.application.hint_sender import HintSender
from reservations.domain.access_token import KeyRing
from reservations.domain.clients import ClientModes
from reservations.domain.facts import Provider
from reservations.domain.messages import Queue
from reservations.domain.policy import Policy

if TYPE_CHECKING:
    from jwt import PyJWK
    from mypy_boto3_ssm import SSMClient

    from reservations.adapters.mysql.address import Address, Connect
    from reservations.adapters.mysql.engine import Database
    from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore
    from reservations.adapters.providers.provider_http import ProviderHttp
    from reservations.application.manage_page import ManagePage
    from reservations.application.notify_customer import UnpaidMailLimits
    from reservations.entrypoints.queue import DeadLetterSink

_JITTER = 0.2  # of the ladder, either way
_random = random.SystemRandom()


@dataclass(frozen=True, eq=False)
class Services:
    """Everything that a function or an operator's command needs from outside.

    An attribute is made at first use and kept as long as this object lives, which is as long as its execution
    environment. A method makes or reads its answer at each call, so that settings can rotate.
    """

    environment: Mapping[str, str]
    tunnel: tuple[str, int] | None = None  # the near end of a port-forward to the database

    def now(self) -> datetime:
        return datetime.now(UTC)

    def prepare(self, *own: type[config.Settings]) -> None:
        """Read a function's `own` settings and the shared ones together, to report all missing ones at once.

        Raises:
            SettingsError: see `SettingsReader.prepare`.
        """
        self._reader.prepare(config.DatabaseSettings, config.SagaSettings, *own)

    def durations(self) -> Policy:
        """The configured policy without jitter."""
        return self._settings(config.SagaSettings).saga_policy.durations

    def policy(self) -> Policy:
        """The policy for one piece of work. Its ladder is stretched at random, to spread simultaneous failures."""
        return self.durations().jittered(_random.uniform(1 - _JITTER, 1 + _JITTER))

    def key_ring(self) -> KeyRing:
        return self._settings(config.AccessTokenSettings).key_ring

    def api_settings(self) -> config.ApiSettings:
        return self._settings(config.ApiSettings)

    def client_modes(self, client_id: str) -> ClientModes:
        return self._settings(config.ClientSettings).of(client_id)

    def quote_keys(self) -> "Mapping[str, PyJWK]":
        return self._settings(config.QuoteSettings).keys

    def public_base_url(self) -> str:
        return self.api_settings().public_base_url

    def webhook_secrets(self, provider: Provider) -> Sequence[bytes]:
        return self._settings(config.PROVIDERS[provider].webhooks).secrets

    def unpaid_mail_limits(self) -> "UnpaidMailLimits":
        from reservations.application.notify_customer import UnpaidMailLimits

        limits = self._settings(config.UnpaidMailSettings).mails_per_hour
        return UnpaidMailLimits(address=limits.address, client=limits.client, keys=self.key_ring())

    def manage_page(self) -> "ManagePage":
        from reservations.application.manage_page import ManagePage

        url = self._settings(config.ManagePageSettings).manage_url
        return ManagePage(url=url, keys=self.key_ring())

    def letterhead(self) -> ports.Letterhead:
        issuer = self._settings(config.IssuerSettings).issuer
        return {"support_contact": self.support_contact(), "issuer": issuer}

    def support_contact(self) -> str:
        return self._settings(config.ContactSettings).support_contact

    def allowed_origin(self) -> str:
        return self._browser.allowed_origin

    @cached_property
    def _browser(self) -> config.BrowserSettings:
        return self._variables(config.BrowserSettings)

    def read_parameters(self, names: Collection[str], *, brief: bool = False) -> Mapping[str, str]:
        """Read SSM parameters; `brief` for a caller that can do without an answer."""
        return SsmParameters(self._brief_ssm if brief else self._ssm).read(names)

    @cached_property
    def _reader(self) -> config.SettingsReader:
        read_again = partial(self.read_parameters, brief=True)
        path = self._variables(config.ParameterPath)
        return config.SettingsReader(
            path, read=self.read_parameters, read_again=read_again, now=self.now
        )

    def _settings(self, model: type[config.S]) -> config.S:
        return self._reader.of(model)

    def _variables(self, model: type[config.S]) -> config.S:
        return config.from_environment(model, self.environment)

    @cached_property
    def _ssm(self) -> "SSMClient":
        return boto3.client("ssm", config=SSM_CONFIG)

    @cached_property
    def _brief_ssm(self) -> "SSMClient":
        return boto3.client("ssm", config=SSM_BRIEF_CONFIG)

    def unit_of_work(self) -> ports.UnitOfWork:
        """A transaction of its own."""
        from reservations.adapters.mysql.unit_of_work import MySqlUnitOfWork

        return MySqlUnitOfWork(self._database, traceparent=tracing.current())

    def joined_unit_of_work(self) -> ports.UnitOfWork:
        """Part of the transaction of `idempotency_store`, which commits it."""
        from reservations.adapters.mysql.unit_of_work import JoinedUnitOfWork

        return JoinedUnitOfWork(self._database, traceparent=tracing.current())

    def cases(self, *, actor: str = "system") -> Cases:
        """Reservations for one piece of work, each in a transaction of its own. The poller publishes their hints."""
        return Cases(uow=self.unit_of_work(), policy=self.policy(), actor=actor)

    def prompt_cases(self) -> Cases:
        """`cases` that send their hints after each commit."""
        uow = self.unit_of_work()
        return Cases(uow=uow, policy=self.policy(), sender=self._sender(uow))

    def joined_cases(self) -> Cases:
        """Reservations in the transaction of `idempotency_store`, which commits it. Send their hints after that."""
        sender = self._sender(self.unit_of_work())
        return Cases(uow=self.joined_unit_of_work(), policy=self.policy(), sender=sender)

    def _sender(self, uow: ports.UnitOfWork) -> HintSender:
        return HintSender(uow=uow, publisher=self.prompt_publisher)

    def idempotency_store(
        self, *, client_id: str, operation: str, key: str
    ) -> "MySqlIdempotencyStore":
        from reservations.adapters.mysql.idempotency import MySqlIdempotencyStore

        return MySqlIdempotencyStore(
            self._database, client_id=client_id, operation=operation, key=key
        )

    def oversight(self) -> ports.Oversight:
        from reservations.adapters.mysql.oversight import MySqlOversight

        return MySqlOversight(self._unhurried_database)

    def search(self) -> ports.Search:
        from reservations.adapters.mysql.search import MySqlSearch

        return MySqlSearch(self._unhurried_database)

    def retention(self) -> ports.Retention:
        from reservations.adapters.mysql.retention import MySqlRetention

        return MySqlRetention(self._unhurried_database)

    def audit(self) -> ports.Audit:
        from reservations.adapters.mysql.audit import MySqlAudit

        return MySqlAudit(self._unhurried_database)

    def checkpoints(self) -> ports.Checkpoints:
        from reservations.adapters.mysql.checkpoints import MySqlCheckpoints

        return MySqlCheckpoints(self._unhurried_database)

    def migrate_database(self) -> str:
        """Bring the schema to this code's revision, and return it."""
        from reservations.adapters.mysql import schema

        connect = self._connector(answer_seconds=schema.STATEMENT_SECONDS)
        schema.upgrade(schema.engine_of(connect))
        return schema.HEAD

    @cached_property
    def _database(self) -> "Database":
        from reservations.adapters.mysql.engine import Database

        return Database(self._connector())

    @cached_property
    def _unhurried_database(self) -> "Database":
        """For statements across reservations, which take seconds, not milliseconds."""
        from reservations.adapters.mysql.engine import Database
        from reservations.adapters.mysql.oversight import ANSWER_SECONDS

        return Database(self._connector(answer_seconds=ANSWER_SECONDS))

    def _connector(self, **limits: int) -> "Connect":
        from reservations.adapters.mysql.address import connector

        url = self._settings(config.DatabaseSettings).database_url.get_secret_value()
        return connector(url, token=self._token, tunnel=self.tunnel, **limits)

    def _token(self, address: "Address") -> str:
        from reservations.adapters.mysql.iam import iam_token

        return iam_token(self._ssm, address)

    def payments_api(self) -> ports.PaymentsApi:
        from reservations.adapters.providers.payments_api import HttpPaymentsApi

        return HttpPaymentsApi(self._provider_http(Provider.PAYMENTS))

    def supplier_api(self) -> ports.SupplierApi:
        from reservations.adapters.providers.supplier_api import HttpSupplierApi

        return HttpSupplierApi(self._provider_http(Provider.SUPPLIER))

    def _provider_http(self, provider: Provider) -> "ProviderHttp":
        limits = self._settings(config.SagaSettings).saga_policy.limits()
        return self._kept_http(
            self._settings(config.PROVIDERS[provider].settings), limits[provider]
        )

    @cached_property
    def _kept_http(
        self,
    ) -> "Callable[[config.ProviderSettings, config.CallLimits], ProviderHttp]":
        """Keep a provider's client until its settings change."""
        return lru_cache(maxsize=len(Provider))(self._new_http)

    def _new_http(
        self, settings: config.ProviderSettings, limits: config.CallLimits
    ) -> "ProviderHttp":
        from reservations.adapters.providers.provider_http import ProviderHttp

        return ProviderHttp(
            base_url=settings.url,
            api_key=settings.api_key.get_secret_value(),
            connect_seconds=limits.connect,
            read_seconds=limits.read,
            now=self.now,
            traceparent=tracing.current,
        )

    @cached_property
    def publisher(self) -> ports.MessagePublisher:
        from reservations.adapters.aws.sqs import SQS_CONFIG, SqsMessagePublisher

        sqs = boto3.client("sqs", config=SQS_CONFIG)
        return SqsMessagePublisher(sqs, queue_urls=self._queue_urls())

    @cached_property
    def prompt_publisher(self) -> ports.MessagePublisher:
        """For a caller that waits: it gives up soon."""
        from reservations.adapters.aws.prompt_publisher import PromptPublisher, SignedSqs

        within, urls = config.HINT_SEND_LIMIT, self._queue_urls()
        sqs = SignedSqs(
            _session(),
            endpoint=self.environment.get("AWS_ENDPOINT_URL") or _origin(urls[Queue.PAYMENT]),
            connect_seconds=within.total_seconds(),
        )
        return PromptPublisher(sqs, queue_urls=urls, within=within)

    def _queue_urls(self) -> Mapping[Queue, str]:
        urls = self._variables(config.QueueSettings)
        return {queue: getattr(urls, f"{queue}_queue_url") for queue in Queue}

    @cached_property
    def dead_letters(self) -> "DeadLetterSink":
        from reservations.adapters.aws.sqs import SQS_CONFIG, SqsDeadLetters

        url = self._variables(config.DeadLetterSettings).dead_letter_queue_url
        return SqsDeadLetters(boto3.client("sqs", config=SQS_CONFIG), queue_url=url)

    @cached_property
    def document_store(self) -> ports.DocumentStore:
        from reservations.adapters.aws.s3 import S3_CONFIG

        return self._new_document_store(S3_CONFIG)

    @cached_property
    def brief_document_store(self) -> ports.DocumentStore:
        """Short timeouts, for callers that have other work or can retry later."""
        from reservations.adapters.aws.s3 import S3_BRIEF_CONFIG

        return self._new_document_store(S3_BRIEF_CONFIG)

    def _new_document_store(self, limits: Config) -> ports.DocumentStore:
        from reservations.adapters.aws.s3 import S3DocumentStore

        settings = self._variables(config.DocumentSettings)
        addressing = Config(s3={"addressing_style": settings.bucket_addressing})
        s3 = boto3.client("s3", config=limits.merge(addressing))
        return S3DocumentStore(s3, bucket=settings.document_bucket)

    @cached_property
    def voucher_renderer(self) -> ports.VoucherRenderer:
        from reservations.adapters.papers.voucher_pdf import FpdfVoucherRenderer
        from reservations.entrypoints.observability import count

        return FpdfVoucherRenderer(on_boxes=lambda: count("VoucherWithBoxes"))

    def released_versions(self) -> ports.ReleasedVersions:
        from reservations.adapters.aws.releases import RELEASE_CONFIG, LambdaVersions

        arns = self._variables(config.ReleaseSettings).released_versions
        return LambdaVersions(boto3.client("lambda", config=RELEASE_CONFIG), arns=arns)

    def release_of(self, event: Mapping[str, str]) -> ports.Release:
        """The deployment of CodeDeploy that sent this event."""
        from reservations.adapters.aws.releases import RELEASE_CONFIG, CodeDeployRelease

        return CodeDeployRelease(
            boto3.client("codedeploy", config=RELEASE_CONFIG),
            deployment=event["DeploymentId"],
            hook=event["LifecycleEventHookExecutionId"],
        )

    @cached_property
    def mailer(self) -> ports.Mailer:
        from reservations.adapters.aws.ses import SES_CONFIG, SesMailer

        sender = self._settings(config.MailSettings).mail_sender
        feedback = self._variables(config.MailFeedbackSettings)
        return SesMailer(
            boto3.client("ses", config=SES_CONFIG),
            sender=sender,
            configuration_set=feedback.mail_configuration_set,
        )


def _session() -> boto3.Session:
    """Return the session of `boto3.client`: another would load the SDK's data again."""
    if boto3.DEFAULT_SESSION is None:
        boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    return boto3.DEFAULT_SESSION


def _origin(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))
