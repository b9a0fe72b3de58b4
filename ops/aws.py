"""The deployment and the caller, as AWS knows them."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.domain.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_sts import STSClient

BRIEF = Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3})

_ASSUMED_ROLE = re.compile(r"arn:[^:]+:sts::\d+:assumed-role/([^/]+)/.*")


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


def role_of_caller(sts: "STSClient") -> str:
    """The role of the credentials. The name of the session stays out: it may name a person.

    Raises:
        SettingsError: AWS does not know the credentials, or they belong to no role.
    """
    try:
        arn = sts.get_caller_identity()["Arn"]
    except (BotoCoreError, ClientError) as error:
        raise SettingsError("AWS does not know these credentials") from error
    role = _ASSUMED_ROLE.fullmatch(arn)
    if role is None:
        raise SettingsError("the credentials belong to no role: sign in with an operators' role")
    return role[1]
