"""The deployment migrates an empty schema by its custom resource; nobody invokes the migration."""

from local.deployment import resources_of
from reservations.adapters.mysql import readiness
from tests.e2e.backstage import Backstage
from tests.e2e.travel import Json


def test_the_custom_resource_migrates_the_empty_schema(stack: Json, backstage: Backstage) -> None:
    kind, _ = resources_of(stack["aws_endpoint_url"])["DatabaseMigration"]

    [reached] = backstage.rows("SELECT version_num FROM alembic_version")

    assert kind == "Custom::DatabaseMigration"
    assert reached["version_num"] == readiness.HEAD
