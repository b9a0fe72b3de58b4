"""Before CodeDeploy moves traffic, and after `make deploy`: invoke each new version directly."""

import os
import time
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.application.rehearse_release import rehearse_release
from reservations.entrypoints import observability
from reservations.entrypoints.trials import TRIALS
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        failed = rehearse_release(TRIALS, versions=services.released_versions(), pause=time.sleep)
        if failed:
            observability.logger.error("release failed its rehearsal", extra={"kind": failed})
        if "DeploymentId" in event:
            services.release_of(event).conclude(passed=failed is None)
        return {"passed": failed is None, "failed": failed}

    return handle


lambda_handler = make_handler(Services(os.environ))
