"""Resources of a deployment, by their names in the template."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.domain.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

CLOUDFORMATION_CONFIG = Config(
    connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3}
)


def resources_of(cloudformation: "CloudFormationClient", stack: str) -> Mapping[str, str]:
    """Physical ids by logical id; a queue's is its URL, a bucket's its name.

    Raises:
        SettingsError: no such stack, no right to read it, or no answer.
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        return {
            resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
            for page in pages
            for resource in page["StackResourceSummaries"]
        }
    except (BotoCoreError, ClientError) as error:
        raise SettingsError(f"the resources of the stack {stack} could not be read") from error
