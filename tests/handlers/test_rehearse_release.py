"""The rehearsal of a release: direct invocations of every new version, none of which leaves a trace."""

import json
from io import BytesIO
from typing import Any, cast

import pytest
from botocore.response import StreamingBody

from functions.rehearse_release.handler import make_handler
from reservations.adapters.aws.releases import CodeDeployRelease, LambdaVersions
from reservations.application.ports import Release, ReleasedVersions
from reservations.application.rehearse_release import rehearse_release
from reservations.entrypoints import rehearsal
from reservations.entrypoints.observability import Handler
from reservations.entrypoints.trials import TRIALS
from reservations.services import Services
from tests.handlers.conftest import Surroundings
from tests.worlds.aws_account import AwsAccount, RefusalError
from tests.worlds.invocation import a_context, an_event
from tests.worlds.services import FakeServices, handler_of, raising

ARNS = {name: f"arn:aws:lambda:eu-west-1:123456789012:function:{name}:7" for name in TRIALS}


class Account:
    """Lambda and CodeDeploy, whose answers come from the real functions."""

    def __init__(self, services: FakeServices) -> None:
        self.services = services
        self.broken: dict[str, int] = {}  # by function, invocations that fail
        self.verdicts: list[str] = []
        self.aws = AwsAccount(
            {
                "lambda": {"Invoke": self._invoke},
                "codedeploy": {"PutLifecycleEventHookExecutionStatus": self._concluded},
            }
        )

    def released_versions(self) -> ReleasedVersions:
        return LambdaVersions(self.aws.client("lambda"), arns=ARNS)

    def release_of(self, event: dict[str, str]) -> Release:
        return CodeDeployRelease(
            self.aws.client("codedeploy"),
            deployment=event["DeploymentId"],
            hook=event["LifecycleEventHookExecutionId"],
        )

    def _invoke(self, request: Any) -> Any:
        name = request["url_path"].split("/functions/")[1].split("%3A")[6]
        if self.broken.get(name, 0) > 0:
            self.broken[name] -= 1
            return {
                "FunctionError": "Unhandled",
                "Payload": _body({"errorType": "Runtime.ExitError"}),
            }
        try:
            answer = handler_of(name, self.services)(json.loads(request["body"]), a_context())
        except Exception as error:  # as the runtime does
            return {
                "FunctionError": "Unhandled",
                "Payload": _body({"errorType": type(error).__name__}),
            }
        return {"StatusCode": 200, "Payload": _body(answer)}

    def _concluded(self, request: Any) -> dict[str, str]:
        self.verdicts.append(json.loads(request["body"])["status"])
        return {}


def _body(answer: Any) -> StreamingBody:
    content = json.dumps(answer).encode()
    return StreamingBody(BytesIO(content), len(content))


@pytest.fixture
def account(around: Surroundings) -> Account:
    return Account(around)


def hook_of(account: Account) -> Handler:
    """The hook's own handler, before this account."""
    return make_handler(cast(Services, account))


def rehearsed(account: Account) -> str | None:
    return rehearse_release(TRIALS, versions=account.released_versions(), pause=lambda _: None)


def test_a_sound_release_passes_and_leaves_no_trace(account: Account) -> None:
    assert rehearsed(account) is None

    assert account.services.database.reservations == {}
    assert account.services.database.outbox == {}
    assert account.services.database.webhooks == {}
    assert account.services.database.unpaid_mails == {}
    assert account.services.dead_letters.dead_lettered == []


@pytest.mark.parametrize("name", TRIALS)
def test_a_version_that_always_fails_stops_the_release(account: Account, name: str) -> None:
    account.broken[name] = 99

    assert rehearsed(account) == name


@pytest.mark.parametrize(
    ("name", "use_case"),
    [
        ("get_reservation", "glance_at"),
        ("get_reservation", "read_reservation"),
        ("get_reservation", "read_timeline"),
        ("get_reservation", "link_to_voucher"),
        ("cancel_reservation", "read_reservation"),
        ("look_up_reservation", "look_up_reservation"),
        ("receive_webhook", "receive_webhook"),
        ("process_payment", "process_payment"),
        ("confirm_supplier", "confirm_supplier"),
        ("issue_voucher", "issue_voucher"),
        ("notify_customer", "notify_customer"),
        ("record_mail_event", "record_mail_event"),
    ],
)
def test_a_version_whose_code_always_fails_stops_the_release(
    account: Account, monkeypatch: pytest.MonkeyPatch, name: str, use_case: str
) -> None:
    monkeypatch.setattr(f"functions.{name}.handler.{use_case}", raising(RuntimeError("a defect")))

    assert rehearsed(account) == name


def test_a_cancellation_is_rehearsed_beyond_its_request(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_case = "reservations.entrypoints.dry_cancellation.cancel_reservation"
    monkeypatch.setattr(use_case, raising(RuntimeError("a defect")))

    assert rehearsed(account) == "cancel_reservation"


@pytest.mark.parametrize("name", TRIALS)
def test_one_blip_takes_no_release_back(account: Account, name: str) -> None:
    account.broken[name] = 1

    assert rehearsed(account) is None


def test_a_right_that_arrives_late_takes_no_release_back(account: Account) -> None:
    invoke, refused = (
        account.aws.answers["lambda"]["Invoke"],
        iter([RefusalError("AccessDeniedException")]),
    )
    account.aws.answers["lambda"]["Invoke"] = lambda request: next(refused, None) or invoke(request)

    assert rehearsed(account) is None


@pytest.mark.parametrize(
    ("broken", "verdict"), [({}, "Succeeded"), ({"get_reservation": 99}, "Failed")]
)
def test_codedeploy_hears_the_verdict(
    account: Account, broken: dict[str, int], verdict: str
) -> None:
    account.broken = broken
    handler = hook_of(account)

    handler(an_event("rehearse_release.before_traffic"), a_context())

    assert account.verdicts == [verdict]


def test_a_direct_rehearsal_answers_without_codedeploy(account: Account) -> None:
    answer = hook_of(account)({}, a_context())

    assert answer == {"passed": True, "failed": None}
    assert account.verdicts == []


def with_flag_in_body(event: dict[str, Any]) -> None:
    event["body"] = json.dumps(json.loads(event["body"]) | rehearsal.REQUEST)


def with_flag_as_body(event: dict[str, Any]) -> None:
    event["body"] = json.dumps(rehearsal.REQUEST)


def with_flag_as_header(event: dict[str, Any]) -> None:
    """Without a client, so that an ordinary request is refused, and a rehearsal would not be."""
    event["headers"]["rehearsal"] = "true"
    event["multiValueHeaders"]["rehearsal"] = ["true"]
    event["requestContext"]["identity"]["apiKeyId"] = None


def with_flag_in_query(event: dict[str, Any]) -> None:
    event["requestContext"]["identity"]["apiKeyId"] = None
    event["queryStringParameters"] = {"rehearsal": "true"}
    event["multiValueQueryStringParameters"] = {"rehearsal": ["true"]}


@pytest.mark.parametrize(
    ("flag", "status"),
    [
        (with_flag_in_body, 422),
        (with_flag_as_body, 422),
        (with_flag_as_header, 401),
        (with_flag_in_query, 401),
    ],
)
def test_the_same_flag_over_http_is_part_of_an_ordinary_request(
    around: Surroundings, flag: Any, status: int
) -> None:
    event = an_event("create_reservation.accepted")
    flag(event)

    answer = handler_of("create_reservation", around)(event, a_context())

    assert answer["statusCode"] == status
