"""Preflight against an account of documented answers: complete, and with each thing missing."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.paths import ROOT
from local.template import resources
from tests.worlds.aws_account import AwsAccount, RefusalError
from tools.preflight.__main__ import findings
from tools.preflight.account import FREE, secret_settings
from tools.preflight.database import CONNECTIONS
from tools.preflight.stage import Notice, Problem, read_stage

REGION = "eu-west-1"
GIVEN: dict[str, Any] = {
    "WebApiKeyValue": "-of-the-examples-web",
    "PartnerApiKeyValue": "-of-the-examples-partner",
    "WebQuote": "required",
    "PartnerQuote": "observe",
    "AllowedOrigin": "https://www.reservas.example",
    "AlarmEmail": "guardia@reservas.example",
    "MailSenderDomain": "reservas.example",
    "SubnetIds": ["subnet-0a", "subnet-0b"],
    "SecurityGroupIds": ["sg-0f"],
    "DatabaseResourceId": "prx-0123456789abcdef0",
    "DatabaseEndpoint": "reservations.proxy-abc.eu-west-1.rds.amazonaws.com",
}
PARAMETERS = {
    "transaction_isolation": "READ-COMMITTED",
    "time_zone": "UTC",
    "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
    "innodb_lock_wait_timeout": "2",
    "wait_timeout": "120",
    "max_connections": "200",
}
SETTINGS = {
    "access-token-keys": "SecureString",
    "mail-sender": "String",
    "payments-api-key": "SecureString",
    "payments-url": "String",
    "quote-keys": "String",
    "saga-policy": "String",
    "supplier-api-key": "SecureString",
    "supplier-url": "String",
    "support-contact": "String",
    "webhook-secrets-payments": "SecureString",
    "webhook-secrets-supplier": "SecureString",
}
TOPIC = f"arn:aws:sns:{REGION}:123456789012:alarms"


class Shop:
    """An account that can take the first deployment of prod, and a folder with its parameter file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given = dict(GIVEN)
        self.settings = dict(SETTINGS)
        self.parameters = dict(PARAMETERS)
        self.functions = dict.fromkeys(resources("AWS::Serverless::Function"), 0)
        self.account = AwsAccount(
            {
                "sts": {"GetCallerIdentity": {"Account": "123456789012"}},
                "cloudformation": {
                    "DescribeStacks": lambda _: RefusalError(
                        "ValidationError", "Stack with id reservations-prod does not exist"
                    )
                },
                "lambda": {
                    "GetAccountSettings": {
                        "AccountLimit": {
                            "ConcurrentExecutions": 1000,
                            "UnreservedConcurrentExecutions": 1000,
                        }
                    },
                    "GetFunctionConcurrency": self._reserved,
                },
                "apigateway": {
                    "GetAccount": {"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/logs"}
                },
                "ssm": {"GetParameters": self._stored},
                "sesv2": {
                    "GetAccount": {"SendingEnabled": True, "ProductionAccessEnabled": True},
                    "GetEmailIdentity": self._identity,
                },
                "sns": {"ListSubscriptionsByTopic": {"Subscriptions": []}},
                "ec2": {
                    "DescribeSubnets": {
                        "Subnets": [
                            {
                                "SubnetId": f"subnet-0{zone}",
                                "VpcId": "vpc-1",
                                "AvailabilityZone": REGION + zone,
                            }
                            for zone in "ab"
                        ]
                    },
                    "DescribeSecurityGroups": {
                        "SecurityGroups": [
                            {"GroupId": "sg-0f", "IpPermissionsEgress": [{"IpProtocol": "-1"}]}
                        ]
                    },
                    "DescribeRouteTables": {
                        "RouteTables": [
                            {
                                "RouteTableId": "rtb-1",
                                "Associations": [{"Main": True}],
                                "Routes": [
                                    {
                                        "DestinationCidrBlock": "0.0.0.0/0",
                                        "NatGatewayId": "nat-1",
                                        "State": "active",
                                    }
                                ],
                            }
                        ]
                    },
                    "DescribeVpcEndpoints": {"VpcEndpoints": []},
                },
                "rds": {
                    "DescribeDBProxies": {
                        "DBProxies": [
                            {
                                "DBProxyName": "reservations",
                                "DBProxyArn": f"arn:aws:rds:{REGION}:1:db-proxy:{GIVEN['DatabaseResourceId']}",
                                "Endpoint": GIVEN["DatabaseEndpoint"],
                                "Auth": [{"AuthScheme": "SECRETS", "IAMAuth": "REQUIRED"}],
                                "IdleClientTimeout": 120,
                            }
                        ]
                    },
                    "DescribeDBProxyTargetGroups": {
                        "TargetGroups": [
                            {
                                "TargetGroupName": "default",
                                "ConnectionPoolConfig": {"ConnectionBorrowTimeout": 4},
                            }
                        ]
                    },
                    "DescribeDBProxyTargets": {
                        "Targets": [
                            {
                                "RdsResourceId": "reservations-db",
                                "Type": "RDS_INSTANCE",
                                "TargetHealth": {"State": "AVAILABLE"},
                            }
                        ]
                    },
                    "DescribeDBInstances": {
                        "DBInstances": [
                            {
                                "DBInstanceIdentifier": "reservations-db",
                                "DbiResourceId": "db-0123",
                                "IAMDatabaseAuthenticationEnabled": True,
                                "DBParameterGroups": [
                                    {
                                        "DBParameterGroupName": "reservations84",
                                        "ParameterApplyStatus": "in-sync",
                                    }
                                ],
                            }
                        ]
                    },
                    "DescribeDBParameters": lambda _: self._group(),
                    "DescribeDBClusters": {
                        "DBClusters": [
                            {
                                "DBClusterIdentifier": "aurora",
                                "DbClusterResourceId": "cluster-0123",
                                "IAMDatabaseAuthenticationEnabled": True,
                                "DBClusterParameterGroup": "aurora84",
                                "DBClusterMembers": [{"DBInstanceIdentifier": "aurora-1"}],
                            }
                        ]
                    },
                    "DescribeDBClusterParameters": lambda _: self._group(),
                },
            }
        )

    def answer(self, service: str, operation: str) -> Any:
        return self.account.answers[service][operation]

    def deploy(self) -> None:
        """Make the first deployment a thing of the past."""
        self.settings["public-base-url"] = "String"
        self.account.answers["cloudformation"] = {
            "DescribeStacks": {
                "Stacks": [
                    {
                        "StackName": "reservations-prod",
                        "CreationTime": "2026-11-30T00:00:00Z",
                        "StackStatus": "UPDATE_COMPLETE",
                    }
                ]
            },
            "ListStackResources": {
                "StackResourceSummaries": [
                    {
                        "LogicalResourceId": name,
                        "PhysicalResourceId": physical,
                        "ResourceType": "any",
                        "LastUpdatedTimestamp": "2026-11-30T00:00:00Z",
                        "ResourceStatus": "CREATE_COMPLETE",
                    }
                    for name, physical in {
                        "AlarmTopic": TOPIC,
                        "AlarmSubscription": TOPIC + ":confirmed",
                        "DatabaseUrl": "/reservations/prod/database-url",
                        **{name: name for name in self.functions},
                    }.items()
                ]
            },
        }
        self.subscribe(TOPIC + ":confirmed")

    def subscribe(self, *arns: str) -> None:
        self.answer("sns", "ListSubscriptionsByTopic")["Subscriptions"] = [
            {"SubscriptionArn": arn, "Endpoint": GIVEN["AlarmEmail"], "Protocol": "email"}
            for arn in arns
        ]

    def found(self, stage: str = "prod") -> list[Any]:
        shutil.copy(ROOT / "samconfig.toml", self.folder)
        file = self.folder / f"{stage}.parameters.yaml"
        file.write_text(yaml.safe_dump(self.given))
        return list(findings(stage, self.account.client, self.folder))

    def problems(self, stage: str = "prod") -> list[Problem]:
        return [each for each in self.found(stage) if isinstance(each, Problem)]

    def _reserved(self, request: Any) -> dict[str, int]:
        name = request["url_path"].split("/functions/")[1].split("/")[0]
        return {"ReservedConcurrentExecutions": most} if (most := self.functions[name]) else {}

    def _stored(self, request: Any) -> dict[str, Any]:
        asked = json.loads(request["body"])
        assert not asked.get("WithDecryption")
        stage = asked["Names"][0].split("/")[2]
        values = {"mail-sender": "reservas@reservas.example"}
        return {
            "Parameters": [
                {"Name": name, "Type": kind, "Value": values.get(short, "not-read")}
                for short, kind in self.settings.items()
                if (name := f"/reservations/{stage}/{short}") in asked["Names"]
            ]
        }

    def _identity(self, request: Any) -> Any:
        if request["url_path"].endswith("/reservas.example"):
            return {"VerifiedForSendingStatus": True}
        return RefusalError("NotFoundException")

    def _group(self) -> dict[str, Any]:
        return {
            "Parameters": [
                {"ParameterName": name, "ParameterValue": value}
                for name, value in self.parameters.items()
            ]
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_complete_account_can_take_the_first_deployment(shop: Shop) -> None:
    assert shop.problems() == []


def test_a_complete_account_can_take_the_next_deployment(shop: Shop) -> None:
    shop.deploy()

    assert shop.problems() == []


def test_the_stage_brings_each_setting_that_nothing_else_writes(shop: Shop) -> None:
    shop.found()
    stage = read_stage("prod", shop.account.client, shop.folder)

    assert stage.settings == SETTINGS.keys()
    assert {name for name, kind in SETTINGS.items() if kind == "SecureString"} <= secret_settings()


def without(*path: Any) -> Callable[[Shop], None]:
    """Remove one member of an answer."""

    def remove(shop: Shop) -> None:
        service, operation, *inner, last = path
        place = shop.answer(service, operation)
        for key in inner:
            place = place[key]
        del place[last]

    return remove


def changed(*path: Any, to: Any) -> Callable[[Shop], None]:
    """Change one member of an answer."""

    def change(shop: Shop) -> None:
        service, operation, *inner, last = path
        place = shop.answer(service, operation)
        for key in inner:
            place = place[key]
        place[last] = to

    return change


def given(**values: Any) -> Callable[[Shop], None]:
    return lambda shop: shop.given.update(values)


def not_given(name: str) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        del shop.given[name]

    return change


def setting(name: str, kind: str | None) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        shop.settings.pop(name, None)
        if kind:
            shop.settings[name] = kind

    return change


def parameter(name: str, value: str) -> Callable[[Shop], None]:
    return lambda shop: shop.parameters.update({name: value})


def refused(service: str, operation: str, code: str) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        shop.account.answers[service][operation] = lambda _: RefusalError(code)

    return change


def stack(status: str) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        shop.deploy()
        shop.answer("cloudformation", "DescribeStacks")["Stacks"][0]["StackStatus"] = status

    return change


def after_the_first(then: Callable[[Shop], None]) -> Callable[[Shop], None]:
    def change(shop: Shop) -> None:
        shop.deploy()
        then(shop)

    return change


COMMANDS = ("aws ", "echo ", "make ", "printf ", "sed ", "touch ")
UNRESERVED = ("lambda", "GetAccountSettings", "AccountLimit", "UnreservedConcurrentExecutions")
ROUTES = ("ec2", "DescribeRouteTables", "RouteTables", 0, "Routes")
PROXY = ("rds", "DescribeDBProxies", "DBProxies", 0)
GROUPS = ("ec2", "DescribeSecurityGroups", "SecurityGroups", 0, "IpPermissionsEgress")

MISSING: dict[str, tuple[Callable[[Shop], None], str, str]] = {
    "credentials": (
        refused("sts", "GetCallerIdentity", "ExpiredToken"),
        "AWS accepts no credentials",
        "aws configure sso",
    ),
    "a stack that can be updated": (
        stack("ROLLBACK_COMPLETE"),
        "is ROLLBACK_COMPLETE",
        "aws cloudformation delete-stack --stack-name reservations-prod",
    ),
    "a stack that finished its rollback": (
        stack("UPDATE_ROLLBACK_FAILED"),
        "is UPDATE_ROLLBACK_FAILED",
        "aws cloudformation continue-update-rollback",
    ),
    **{
        f"the parameter {name}": (
            not_given(name),
            f"{name} is missing in prod.parameters.yaml",
            f"{name}: {value}",
        )
        for name, value in {
            "WebQuote": "required",
            "PartnerQuote": "required",
            "WebApiKeyValue": "'$(openssl rand -hex 20)'",
            "PartnerApiKeyValue": "'$(openssl rand -hex 20)'",
        }.items()
    },
    "concurrency": (
        changed(*UNRESERVED, to=10),
        "10 concurrent executions free. Size middle reserves 131",
        "aws service-quotas request-service-quota-increase",
    ),
    "the log role": (
        without("apigateway", "GetAccount", "cloudwatchRoleArn"),
        "no role for CloudWatch Logs",
        "aws apigateway update-account",
    ),
    "a setting": (
        setting("payments-url", None),
        "/reservations/prod/payments-url is missing",
        "--type String --name /reservations/prod/payments-url",
    ),
    "the encryption of a secret": (
        setting("supplier-api-key", "String"),
        "/reservations/prod/supplier-api-key is a String",
        "--type SecureString --name /reservations/prod/supplier-api-key",
    ),
    "the base address, from the second deployment on": (
        after_the_first(setting("public-base-url", None)),
        "/reservations/prod/public-base-url is missing",
        "| aws ssm put-parameter",
    ),
    "room for the database's address": (
        setting("database-url", "SecureString"),
        "database-url exists, and the template writes it",
        "aws ssm delete-parameter",
    ),
    "sending": (
        changed("sesv2", "GetAccount", "SendingEnabled", to=False),
        "SES has stopped",
        "aws sesv2 put-account-sending-attributes",
    ),
    "sending that AWS stopped": (
        lambda shop: shop.answer("sesv2", "GetAccount").update(
            {"SendingEnabled": False, "EnforcementStatus": "SHUTDOWN"}
        ),
        "SES has stopped",
        "--query Details.ReviewDetails\n# Only AWS can resume it",
    ),
    "production access": (
        changed("sesv2", "GetAccount", "ProductionAccessEnabled", to=False),
        "SES is in its sandbox",
        "aws sesv2 put-account-details",
    ),
    "the mail identity": (
        refused("sesv2", "GetEmailIdentity", "NotFoundException"),
        "SES has not verified reservas.example",
        "aws sesv2 create-email-identity",
    ),
    "the sender's domain": (
        given(MailSenderDomain="other.example"),
        "MailSenderDomain allows other.example only",
        "MailSenderDomain: reservas.example",
    ),
    "an address for the alarms": (given(AlarmEmail=""), "Alarms reach nobody", "AlarmEmail:"),
    "the confirmation of the alarms": (
        after_the_first(lambda shop: shop.subscribe("PendingConfirmation")),
        "Nobody has confirmed",
        "aws sns subscribe",
    ),
    "a subscription that SNS deleted": (
        after_the_first(lambda shop: shop.subscribe()),
        "Nobody has confirmed",
        "--notification-endpoint guardia@reservas.example",
    ),
    "the origin": (
        given(AllowedOrigin="https://reservations.example"),
        "no browser may call",
        "AllowedOrigin:",
    ),
    "a subnet": (
        refused("ec2", "DescribeSubnets", "InvalidSubnetID.NotFound"),
        "does not exist",
        "aws ec2 describe-subnets",
    ),
    "a second zone": (
        changed("ec2", "DescribeSubnets", "Subnets", 1, "AvailabilityZone", to=REGION + "a"),
        "in one zone",
        "SubnetIds: [subnet-0a, OTHER_SUBNET]",
    ),
    "a security group": (
        refused("ec2", "DescribeSecurityGroups", "InvalidGroup.NotFound"),
        "names no existing group",
        "aws ec2 describe-security-groups",
    ),
    "the way out to the database": (
        changed(*GROUPS, to=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}]),
        "out on port 3306",
        "aws ec2 authorize-security-group-egress",
    ),
    "a public address": (
        changed(
            *ROUTES,
            to=[{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}],
        ),
        "leads to an Internet gateway",
        "aws ec2 replace-route",
    ),
    "the policy of the endpoint for S3": (
        changed(
            "ec2",
            "DescribeVpcEndpoints",
            "VpcEndpoints",
            to=[
                {
                    "VpcEndpointId": "vpce-1",
                    "ServiceName": f"com.amazonaws.{REGION}.s3",
                    "State": "available",
                    "RouteTableIds": ["rtb-1"],
                    "PolicyDocument": json.dumps(
                        {"Statement": [{"Effect": "Allow", "Resource": "arn:aws:s3:::vouchers/*"}]}
                    ),
                }
            ],
        ),
        "keeps the migration's answer",
        "aws ec2 modify-vpc-endpoint",
    ),
    "the proxy": (
        given(DatabaseResourceId="prx-other"),
        "prx-other does not exist",
        "aws rds describe-db-proxies",
    ),
    "the proxy's address": (
        changed(*PROXY, "Endpoint", to="other.rds.amazonaws.com"),
        "the proxy's is other.rds",
        "DatabaseEndpoint: other.rds",
    ),
    "IAM tokens at the proxy": (
        changed(*PROXY, "Auth", 0, "IAMAuth", to="DISABLED"),
        "does not require IAM tokens",
        "aws rds modify-db-proxy",
    ),
    "an end of idle clients": (
        without(*PROXY, "IdleClientTimeout"),
        "keeps an idle client for 1800 s",
        "--idle-client-timeout 120",
    ),
    "a short wait for a connection": (
        without(
            "rds",
            "DescribeDBProxyTargetGroups",
            "TargetGroups",
            0,
            "ConnectionPoolConfig",
            "ConnectionBorrowTimeout",
        ),
        "wait longer",
        "ConnectionBorrowTimeout=4",
    ),
    "a healthy target": (
        changed(
            "rds", "DescribeDBProxyTargets", "Targets", 0, "TargetHealth", "State", to="UNAVAILABLE"
        ),
        "No target",
        "aws rds describe-db-proxy-targets",
    ),
    "the restart for the parameter group": (
        changed(
            "rds",
            "DescribeDBInstances",
            "DBInstances",
            0,
            "DBParameterGroups",
            0,
            "ParameterApplyStatus",
            to="pending-reboot",
        ),
        "has not taken its parameter group",
        "aws rds reboot-db-instance",
    ),
    **{
        f"the parameter {name}": (
            parameter(name, wrong),
            f"{name}={wrong or 'unset'}",
            f"ParameterName={name}",
        )
        for name, wrong in {
            "transaction_isolation": "REPEATABLE-READ",
            "time_zone": "Europe/Madrid",
            "sql_mode": "",
            "innodb_lock_wait_timeout": "50",
            "wait_timeout": "28800",
            "max_connections": "100",
        }.items()
    },
    "a parameter group of the instance's own": (
        lambda shop: (
            parameter("transaction_isolation", "REPEATABLE-READ")(shop),
            parameter("time_zone", "")(shop),
            changed(
                "rds",
                "DescribeDBInstances",
                "DBInstances",
                0,
                "DBParameterGroups",
                0,
                "DBParameterGroupName",
                to="default.mysql8.4",
            )(shop),
        )[0],
        "reservations-db uses default.mysql8.4",
        "--db-parameter-group-family mysql8.4",
    ),
    "a parameter group of the cluster's own": (
        lambda shop: (
            parameter("wait_timeout", "28800")(shop),
            given(DatabaseResourceId="cluster-0123")(shop),
            changed(
                "rds",
                "DescribeDBClusters",
                "DBClusters",
                0,
                "DBClusterParameterGroup",
                to="default.aurora-mysql8.4",
            )(shop),
        )[0],
        "aurora uses default.aurora-mysql8.4",
        "reboot-db-instance --region eu-west-1 --db-instance-identifier aurora-1",
    ),
    "IAM tokens at the cluster": (
        lambda shop: (
            given(DatabaseResourceId="cluster-0123")(shop),
            changed(
                "rds",
                "DescribeDBClusters",
                "DBClusters",
                0,
                "IAMDatabaseAuthenticationEnabled",
                to=False,
            )(shop),
        )[0],
        "aurora takes no IAM tokens",
        "aws rds modify-db-cluster",
    ),
    "IAM tokens at the instance": (
        lambda shop: (
            given(DatabaseResourceId="db-0123")(shop),
            changed(
                "rds",
                "DescribeDBInstances",
                "DBInstances",
                0,
                "IAMDatabaseAuthenticationEnabled",
                to=False,
            )(shop),
        )[0],
        "reservations-db takes no IAM tokens",
        "aws rds modify-db-instance",
    ),
    "the right to look": (
        refused("rds", "DescribeDBProxies", "AccessDenied"),
        "could not look at the database: DescribeDBProxies answered AccessDenied",
        "Allow DescribeDBProxies",
    ),
}


@pytest.mark.parametrize(("remove", "text", "fix"), MISSING.values(), ids=MISSING)
def test_a_missing_thing_is_one_problem_with_its_command(
    shop: Shop, remove: Callable[[Shop], None], text: str, fix: str
) -> None:
    remove(shop)

    [problem] = shop.problems()

    assert text in problem.text
    assert fix in problem.fix


@pytest.mark.parametrize("remove", [each[0] for each in MISSING.values()], ids=MISSING)
def test_each_fix_has_a_command_and_the_rest_are_comments(
    shop: Shop, remove: Callable[[Shop], None]
) -> None:
    remove(shop)

    for problem in shop.problems():
        lines = [each for each in problem.fix.splitlines() if not each.startswith("# ")]
        assert lines, problem.text
        assert all(line.startswith(COMMANDS) for line in lines)


@pytest.mark.parametrize("remove", [each[0] for each in MISSING.values()], ids=MISSING)
def test_a_fixed_parameter_file_names_each_parameter_once(
    shop: Shop, remove: Callable[[Shop], None]
) -> None:
    """SAM refuses a file with a name twice; PyYAML, which reads it here, does not."""
    remove(shop)
    edits = [
        line
        for problem in shop.problems()
        for line in problem.fix.splitlines()
        if line.startswith(("echo ", "sed "))
    ]

    for edit in edits:
        subprocess.run(["sh", "-c", edit], cwd=shop.folder, check=True)

    lines = (shop.folder / "prod.parameters.yaml").read_text().splitlines()
    names = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    assert len(names) == len(set(names))


def test_a_fix_leaves_the_other_parameters_as_they_are(shop: Shop) -> None:
    shop.found()
    file = shop.folder / "prod.parameters.yaml"
    file.write_text("Size: middle\nSubnetIds:\n- subnet-a\n- subnet-b\nWebQuote: required\n")
    stage = read_stage("prod", shop.account.client, shop.folder)

    subprocess.run(["sh", "-c", stage.edit("SubnetIds: a,b")], cwd=shop.folder, check=True)

    assert yaml.safe_load(file.read_text()) == {
        "Size": "middle",
        "WebQuote": "required",
        "SubnetIds": "a,b",
    }


def test_an_answer_that_is_no_refusal_asks_for_no_right(shop: Shop) -> None:
    refused("rds", "DescribeDBProxies", "ThrottlingException")(shop)

    [problem] = shop.problems()

    assert "answered ThrottlingException" in problem.text
    assert "Allow" not in problem.fix


def test_without_a_way_out_each_service_needs_an_endpoint(shop: Shop) -> None:
    changed(*ROUTES, to=[])(shop)

    [default, s3, *services] = shop.problems()

    assert "no provider is reached" in default.text
    assert "--vpc-endpoint-type Gateway --route-table-ids rtb-1" in s3.fix
    for name, problem in zip(
        ["ssm", "sqs", "email", "lambda", "codedeploy"], services, strict=True
    ):
        assert problem.text.endswith(f" {name}.")
        assert f"--vpc-id vpc-1 --service-name com.amazonaws.{REGION}.{name} " in problem.fix
        assert "--vpc-endpoint-type Interface --private-dns-enabled" in problem.fix
        assert "--subnet-ids subnet-0a subnet-0b --security-group-ids" in problem.fix


def test_an_endpoint_of_the_vpc_is_asked_once_for_all_its_subnets(shop: Shop) -> None:
    changed(*ROUTES, to=[])(shop)
    [table] = shop.answer("ec2", "DescribeRouteTables")["RouteTables"]
    own = {**table, "RouteTableId": "rtb-2", "Associations": [{"SubnetId": "subnet-0b"}]}
    shop.answer("ec2", "DescribeRouteTables")["RouteTables"].append(own)
    gateway = {
        "VpcEndpointId": "vpce-1",
        "VpcEndpointType": "Gateway",
        "ServiceName": f"com.amazonaws.{REGION}.s3",
        "State": "available",
        "RouteTableIds": ["rtb-1"],
    }
    changed("ec2", "DescribeVpcEndpoints", "VpcEndpoints", to=[gateway])(shop)

    fixes = [problem.fix for problem in shop.problems()]

    assert len([each for each in fixes if "--vpc-endpoint-type Interface" in each]) == 5
    [s3] = [each for each in fixes if "s3" in each or "vpce-1" in each]
    assert "--vpc-endpoint-id vpce-1 --add-route-table-ids rtb-2" in s3


def test_a_parameter_of_the_last_deployment_is_kept(shop: Shop) -> None:
    shop.deploy()
    shop.given.pop("WebQuote")
    shop.answer("cloudformation", "DescribeStacks")["Stacks"][0]["Parameters"] = [
        {"ParameterKey": "WebQuote", "ParameterValue": "off"}
    ]

    assert shop.problems() == []


def test_a_deployed_stage_may_keep_the_places_that_it_has(shop: Shop) -> None:
    shop.deploy()
    shop.functions["CreateReservationFunction"] = 131
    changed(*UNRESERVED, to=FREE)(shop)

    assert shop.problems() == []


def test_an_account_with_ten_places_in_the_sandbox_can_deploy_dev(shop: Shop) -> None:
    changed(*UNRESERVED, to=10)(shop)
    changed("sesv2", "GetAccount", "ProductionAccessEnabled", to=False)(shop)
    shop.given["Size"] = "small"

    assert shop.problems("dev") == []
    assert any("sandbox" in each.text for each in shop.found("dev") if isinstance(each, Notice))


def test_a_missing_parameter_file_and_an_unknown_stage_are_told(shop: Shop) -> None:
    shop.found()
    (shop.folder / "prod.parameters.yaml").unlink()

    [missing] = findings("prod", shop.account.client, shop.folder)
    [unknown] = findings("production", shop.account.client, shop.folder)

    assert "prod.parameters.yaml is missing" in missing.text
    assert "no stage production" in unknown.text


def test_the_reader_is_told_that_only_the_migration_sees_the_database(shop: Shop) -> None:
    assert any("migration checks it from inside" in each.text for each in shop.found())


def test_many_faults_are_told_at_once(shop: Shop) -> None:
    """A person fixes them in one go, not one per deployment."""
    for remove, _, _ in [
        MISSING[name] for name in ("concurrency", "the log role", "a setting", "the origin")
    ]:
        remove(shop)

    assert len(shop.problems()) == 4


def test_the_connections_wanted_are_those_of_the_document() -> None:
    text = (ROOT / "docs/08-performance.md").read_text(encoding="utf-8")
    for size, most in CONNECTIONS.items():
        assert f"| `{size}` | `max_connections` ≥ {most} |" in text
