"""The versions of a release, invoked directly, and the verdict that CodeDeploy waits for."""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.application.ports import Release, ReleasedVersions

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

# The slowest rehearsal waits for a cold start and the database. The use case repeats it.
RELEASE_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1})

_logger = logging.getLogger(__name__)


class LambdaVersions(ReleasedVersions):
    """Versions by function, each with its ARN."""

    def __init__(self, aws_lambda: "LambdaClient", *, arns: Mapping[str, str]) -> None:
        self._lambda = aws_lambda
        self._arns = arns

    def answer(self, name: str, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            answered = self._lambda.invoke(
                FunctionName=self._arns[name], Payload=json.dumps(event).encode()
            )
        except (BotoCoreError, ClientError) as error:
            _logger.warning(
                "version not reached", extra={"kind": name, "error": type(error).__name__}
            )
            return None
        if "FunctionError" in answered:
            _logger.warning("version failed", extra={"kind": name})
            return None
        answer: Any = json.loads(answered["Payload"].read())
        return answer if isinstance(answer, dict) else None


class CodeDeployRelease(Release):
    """One deployment of CodeDeploy, which waits for this hook."""

    def __init__(self, codedeploy: Any, *, deployment: str, hook: str) -> None:
        self._codedeploy = codedeploy
        self._deployment = deployment
        self._hook = hook

    def conclude(self, *, passed: bool) -> None:
        self._codedeploy.put_lifecycle_event_hook_execution_status(
            deploymentId=self._deployment,
            lifecycleEventHookExecutionId=self._hook,
            status="Succeeded" if passed else "Failed",
        )
