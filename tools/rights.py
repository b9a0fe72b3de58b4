"""Rights of each function's role, as the template, SAM and AWS's own policies give them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.template import name_of, resources

# The reason of each `*` that the template or SAM writes.
WILDCARDS = {
    (
        "arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:"
        "${AWS::StackName}-ServerlessDeploymentApplication-*/*"
    ): "los grupos de despliegue de esta pila, cuyo nombre acaba en letras que pone AWS",
    "${DocumentBucket.Arn}/vouchers/*": "cualquier bono, y nada más del cubo",
    "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*": (
        "SES pide permiso sobre el remitente. `MailSenderDomain` lo acota, si se da"
    ),
    "sqs:SendMessage*": "así lo escribe SAM. Ninguna otra acción empieza igual",
}
_OF_THE_ACCOUNT = re.compile(
    r"arn:\$\{AWS::Partition\}:[a-z-]+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:"
)


@dataclass(frozen=True, slots=True)
class Right:
    """Actions on resources. One of AWS's policies has its name as action, and its own reason."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason_of_aws: str = ""

    @property
    def wildcards(self) -> list[str]:
        """The names with a `*` that are not AWS's."""
        names = () if self.reason_of_aws else (*self.actions, *self.resources)
        return [name for name in names if "*" in name]

    def cells(self) -> list[str]:
        """
        Raises:
            KeyError: no reason for a `*`.
        """
        reasons = (
            [self.reason_of_aws]
            if self.reason_of_aws
            else map(WILDCARDS.__getitem__, self.wildcards)
        )
        return [
            ", ".join(f"`{action}`" for action in self.actions),
            ", ".join(f"`{_short(resource)}`" for resource in self.resources),
            ". ".join(reasons) or "–",
        ]


DEPLOYER = Right(
    ("AWSCodeDeployRoleForLambda",),
    ("lambda:*:alias",),
    "política de AWS para mover llamadas de versión: cualquier alias y alarma",
)
_LOGGER = Right(
    ("AWSLambdaBasicExecutionRole",),
    ("log-group:*",),
    "política de AWS: toda función escribe en cualquier grupo de registros",
)
_IN_A_VPC = Right(
    ("AWSLambdaVPCAccessExecutionRole",),
    ("network-interface:*",),
    "política de AWS para la VPC: EC2 no acota interfaces de red",
)
_QUEUE_READER = Right(
    ("AWSLambdaSQSQueueExecutionRole",),
    ("sqs:*:queue",),
    "política de AWS para leer colas. Un `Deny` niega las ajenas",
)


def rights() -> dict[str, list[Right]]:
    """The rights of each function, by its folder."""
    return {
        Path(properties["CodeUri"]).name: list(_rights_of(properties))
        for properties in resources("AWS::Serverless::Function").values()
    }


def _rights_of(function: Mapping[str, Any]) -> Iterator[Right]:
    for policy in function["Policies"]:
        if "SQSSendMessagePolicy" in policy:
            queue = name_of(policy["SQSSendMessagePolicy"]["QueueName"])
            yield Right(("sqs:SendMessage*",), (queue,))
        elif "Ref" in policy:
            shared = resources("AWS::IAM::ManagedPolicy")[name_of(policy)]
            yield from _stated(shared["PolicyDocument"])
        else:
            yield from _stated(policy)
    yield _LOGGER
    yield _IN_A_VPC
    if any(event["Type"] == "SQS" for event in function.get("Events", {}).values()):
        yield _QUEUE_READER


def _stated(policy: Mapping[str, Any]) -> Iterator[Right]:
    for stated in policy["Statement"]:
        statement = stated["Fn::If"][1] if "Fn::If" in stated else stated
        if statement["Effect"] == "Allow":
            yield Right(
                tuple(_listed(statement["Action"])),
                tuple(map(_spelled, _listed(statement["Resource"]))),
            )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _spelled(resource: Any) -> str:
    """An ARN as the template writes it; the result of `!GetAtt`, with a dot."""
    if isinstance(resource, str):
        return resource
    if "Fn::Sub" in resource:
        return str(resource["Fn::Sub"])
    return str(resource["Ref"]) if "Ref" in resource else ".".join(resource["Fn::GetAtt"])


def _short(resource: str) -> str:
    """Without the part that every ARN of this account and region has."""
    own = _OF_THE_ACCOUNT.match(resource)
    return resource[own.end() if own else 0 :].replace("parameter/reservations/${Stage}/", "…/")
