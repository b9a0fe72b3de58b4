"""The rehearsal after a deployment: the hook is invoked directly, and its verdict becomes an exit status."""

import json
from io import BytesIO
from typing import Any

import pytest
from botocore.response import StreamingBody

from local.processes import StackError
from tests.worlds.aws_account import AwsAccount, RefusalError
from tools import rehearse


def payload(answer: Any) -> StreamingBody:
    content = json.dumps(answer).encode()
    return StreamingBody(BytesIO(content), len(content))


def account(answer: Any, **members: str) -> AwsAccount:
    """An account whose hook answers so."""
    return AwsAccount(
        {"lambda": {"Invoke": lambda _: {"StatusCode": 200, "Payload": payload(answer)} | members}}
    )


def test_a_release_that_passed_is_no_error() -> None:
    rehearse.rehearse("dev", account({"passed": True, "failed": None}).client)


def test_the_hook_of_the_stage_is_invoked_without_a_deployment_that_hears_the_verdict() -> None:
    asked: list[Any] = []

    def invoked(request: Any) -> Any:
        asked.append((request["url_path"], request["body"]))
        return {"Payload": payload({"passed": True})}

    rehearse.rehearse("dev", AwsAccount({"lambda": {"Invoke": invoked}}).client)

    [(path, body)] = asked
    assert path.split("/functions/")[1].startswith("CodeDeployHook_reservations-dev/")
    assert json.loads(body) == {}


@pytest.mark.parametrize(
    ("aws", "text", "remedy"),
    [
        (
            account({"passed": False, "failed": "create_reservation"}),
            "create_reservation failed its rehearsal",
            "/reservations/dev/public-base-url",
        ),
        (
            account({"errorType": "Sandbox.Timedout"}, FunctionError="Unhandled"),
            "rehearse_release failed its rehearsal",
            "make rehearse STAGE=dev",
        ),
        (
            AwsAccount({"lambda": {"Invoke": lambda _: RefusalError("AccessDeniedException")}}),
            "AccessDeniedException",
            "CodeDeployHook_reservations-dev",
        ),
    ],
    ids=["a function fails", "the hook fails", "the hook may not be invoked"],
)
def test_a_failure_is_named_with_its_remedy(aws: AwsAccount, text: str, remedy: str) -> None:
    with pytest.raises(StackError) as raised:
        rehearse.rehearse("dev", aws.client)

    assert text in str(raised.value)
    assert remedy in raised.value.remedy


def test_an_unknown_stage_is_told_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert rehearse.main("production") == 1

    assert "samconfig.toml has no stage production" in capsys.readouterr().err
