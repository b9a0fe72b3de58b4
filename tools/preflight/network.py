"""Checks of the VPC: routes from the functions' subnets to each service."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from tools.preflight.stage import Finding, Notice, Problem, Stage

_SERVICES = ("ssm", "sqs", "email", "lambda")  # the rehearsal invokes each function
_PORTS = (443, 3306)
_EVERYWHERE = "0.0.0.0/0"
_ANSWERS = "cloudformation-custom-resource-response-"
_WAYS_OUT = (
    "NatGatewayId",
    "TransitGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
)


def check_network(stage: Stage) -> Iterator[Finding]:
    """Subnets, security groups and routes."""
    subnets, groups = stage.values("SubnetIds"), stage.values("SecurityGroupIds")
    if not subnets:
        yield Notice("SubnetIds is empty: the functions run outside a VPC.")
        return
    network = stage.clients("ec2")
    found = _named(lambda: network.describe_subnets(SubnetIds=subnets)["Subnets"])
    if found is None:
        yield Problem(
            f"A subnet of {', '.join(subnets)} does not exist in {stage.region}.",
            f"aws ec2 describe-subnets --region {stage.region}\n"
            + stage.edit("SubnetIds: [SUBNET_A, SUBNET_B]"),
        )
        return
    vpc = found[0]["VpcId"]
    if len({each["AvailabilityZone"] for each in found}) < 2:
        yield Problem(
            "SubnetIds is in one zone: its loss would stop the service.",
            "# OTHER_SUBNET is of another zone, with the same routes:\n"
            f"aws ec2 describe-subnets --region {stage.region} --filters Name=vpc-id,Values={vpc}"
            " --query 'Subnets[].[SubnetId,AvailabilityZone]' --output text\n"
            + stage.edit(f"SubnetIds: [{subnets[0]}, OTHER_SUBNET]"),
        )
    yield from _groups(stage, groups)
    tables = network.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    endpoints = network.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    available = [each for each in endpoints["VpcEndpoints"] if each["State"].lower() == "available"]
    yield from _policies(stage, available)
    used = {
        table["RouteTableId"]: table
        for table in (_table(tables["RouteTables"], subnet) for subnet in subnets)
    }
    closed = [table for table in used.values() if not _has_way_out(table)]
    for table in closed:
        yield from _routes(stage, vpc, table, available)
    # One endpoint serves the whole VPC; an Internet gateway's fix opens the way to all services.
    if any(not _leads_to_internet_gateway(table) for table in closed):
        yield from _endpoints(stage, vpc, available)


def _named(ask: Any) -> Any:
    """The answer, or `None` if an id does not exist."""
    try:
        return ask()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code.endswith((".NotFound", ".Malformed")):
            return None
        raise


def _groups(stage: Stage, groups: list[str]) -> Iterator[Finding]:
    network = stage.clients("ec2")
    found = _named(lambda: network.describe_security_groups(GroupIds=groups)["SecurityGroups"])
    if not groups or found is None:
        yield Problem(
            f"SecurityGroupIds names no existing group: {', '.join(groups) or 'empty'}.",
            f"aws ec2 describe-security-groups --region {stage.region}\n"
            + stage.edit("SecurityGroupIds: [GROUP]"),
        )
        return
    rules = [rule for group in found for rule in group["IpPermissionsEgress"]]
    for port in _PORTS:
        if not any(
            rule["IpProtocol"] == "-1" or rule.get("FromPort", 0) <= port <= rule.get("ToPort", -1)
            for rule in rules
        ):
            yield Problem(
                f"No security group lets a function out on port {port}.",
                f"aws ec2 authorize-security-group-egress --region {stage.region} --group-id {groups[0]}"
                f" --protocol tcp --port {port} --cidr {_EVERYWHERE}",
            )


def _table(tables: list[dict[str, Any]], subnet: str) -> dict[str, Any]:
    """The subnet's own route table, else the VPC's main one."""
    for table in tables:
        if any(each.get("SubnetId") == subnet for each in table["Associations"]):
            return table
    return next(
        (table for table in tables if any(each.get("Main") for each in table["Associations"])),
        {"RouteTableId": "ROUTE_TABLE", "Routes": []},
    )


def _defaults(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        route
        for route in table["Routes"]
        if route.get("DestinationCidrBlock") == _EVERYWHERE and route.get("State") == "active"
    ]


def _has_way_out(table: dict[str, Any]) -> bool:
    return any(route.get(way) for route in _defaults(table) for way in _WAYS_OUT)


def _leads_to_internet_gateway(table: dict[str, Any]) -> bool:
    return any(route.get("GatewayId", "").startswith("igw-") for route in _defaults(table))


def _routes(
    stage: Stage, vpc: str, table: dict[str, Any], endpoints: list[dict[str, Any]]
) -> Iterator[Finding]:
    """The default route of a table without a way out, and its route to S3."""
    name = table["RouteTableId"]
    add = (
        f"aws ec2 create-route --region {stage.region} --route-table-id {name}"
        f" --destination-cidr-block {_EVERYWHERE} --nat-gateway-id NAT_GATEWAY"
    )
    if _leads_to_internet_gateway(table):
        yield Problem(
            f"The route table {name} leads to an Internet gateway, and a function has no public address.",
            add.replace("create-route", "replace-route"),
        )
        return
    yield Problem(f"The route table {name} has no default route: no provider is reached.", add)
    s3 = [each for each in endpoints if each["ServiceName"].endswith(".s3")]
    if not any(name in each.get("RouteTableIds", []) for each in s3) and not _answering(s3):
        gateways = [each for each in s3 if each.get("VpcEndpointType") == "Gateway"]
        yield Problem(
            f"The route table {name} has no route to s3.",
            "# The default route above is enough. Otherwise:\n"
            + (
                f"aws ec2 modify-vpc-endpoint --region {stage.region}"
                f" --vpc-endpoint-id {gateways[0]['VpcEndpointId']} --add-route-table-ids {name}"
                if gateways
                else f"{_create(stage, vpc, 's3')} --vpc-endpoint-type Gateway --route-table-ids {name}"
            ),
        )


def _answering(endpoints: list[dict[str, Any]]) -> set[str]:
    """Services whose ordinary name leads to an endpoint."""
    return {
        each["ServiceName"].rpartition(".")[2]
        for each in endpoints
        if each.get("PrivateDnsEnabled")
    }


def _create(stage: Stage, vpc: str, service: str) -> str:
    return (
        f"aws ec2 create-vpc-endpoint --region {stage.region} --vpc-id {vpc}"
        f" --service-name com.amazonaws.{stage.region}.{service}"
    )


def _endpoints(stage: Stage, vpc: str, endpoints: list[dict[str, Any]]) -> Iterator[Finding]:
    """Services that a VPC without a way out does not reach."""
    gradual = ["codedeploy"] if stage.value("GradualDeployment") == "true" else []
    for service in (*_SERVICES, *gradual):
        if service not in _answering(endpoints):
            yield Problem(
                f"The VPC {vpc} has no route to {service}.",
                "# A default route is enough. Otherwise, GROUP admits port 443 from"
                f" {', '.join(stage.values('SecurityGroupIds'))}:\n"
                f"{_create(stage, vpc, service)} --vpc-endpoint-type Interface --private-dns-enabled"
                f" --subnet-ids {' '.join(stage.values('SubnetIds'))} --security-group-ids GROUP",
            )


def _policies(stage: Stage, endpoints: list[dict[str, Any]]) -> Iterator[Finding]:
    """The migration answers CloudFormation through S3, so the endpoint's policy must let it pass."""
    for each in (each for each in endpoints if each["ServiceName"].endswith(".s3")):
        policy = each.get("PolicyDocument") or "{}"
        statements = json.loads(policy).get("Statement", []) if policy else []
        allowed = [
            str(statement.get("Resource"))
            for statement in statements
            if statement.get("Effect") == "Allow"
        ]
        if statements and not any("'*'" in f"'{a}'" or _ANSWERS in a for a in allowed):
            yield Problem(
                f"The policy of {each['VpcEndpointId']} keeps the migration's answer from CloudFormation.",
                f"# Allow s3:PutObject on arn:aws:s3:::{_ANSWERS}*/* there:\n"
                f"aws ec2 modify-vpc-endpoint --region {stage.region}"
                f" --vpc-endpoint-id {each['VpcEndpointId']} --policy-document file://POLICY.json",
            )
