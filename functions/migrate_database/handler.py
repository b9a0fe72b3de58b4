"""At deploy, before anything else runs: bring the schema to this code's revision."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import wiring
from reservations.entrypoints import custom_resource, observability


def migrate() -> dict[str, Any]:
    revision = wiring.migrate_database()
    observability.logger.info("schema is current", extra={"revision": revision})
    return {"revision": revision}


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return custom_resource.make(event, migrate)
