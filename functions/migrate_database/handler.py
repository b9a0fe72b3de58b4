"""At deploy, before anything else runs: bring the schema to this code's revision."""

import os
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations.entrypoints import custom_resource, observability
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    @observability.function
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return custom_resource.make(event, partial(migrate, services))

    return handle


def migrate(services: Services) -> dict[str, Any]:
    revision = services.migrate_database()
    observability.logger.info("schema is current", extra={"revision": revision})
    return {"revision": revision}


lambda_handler = make_handler(Services(os.environ))
