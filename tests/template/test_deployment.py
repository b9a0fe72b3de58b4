"""Gradual deployment with rollback on an alarm, and the dashboard."""

import json
import re
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

import pytest

from local.paths import VENVS
from reservations.entrypoints.trials import TRIALS
from tests.template.resources import (
    ROOT,
    functions,
    logical_id,
    metrics_explained,
    name_of,
    resources,
    template,
)
from tools.documents import permissions

MIGRATION = "MigrateDatabaseFunction"
REHEARSAL = "RehearseReleaseFunction"
VERSION_ALARMS = ("HttpVersionAlarm", "QueueVersionAlarm", "ClockVersionAlarm")
DEFECT_ALARMS = ("HttpDefectAlarm", "QueueDefectAlarm")
METRICS_OF_AN_ALARM = 10  # CloudWatch's limit for one expression
ALARMS_OF_A_GROUP = 10  # CodeDeploy's limit for one deployment group

# Expands the template as AWS does. SAM's own interpreter runs it.
EXPAND = """
import json, logging, sys, time
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

logging.disable()

class Policies:
    def load(self):
        return {}

def expanded(release, gradual):
    time.time = lambda: float(release)
    template = yaml_parse(open(sys.argv[1]).read())
    for resource in template["Resources"].values():
        for name in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][name] = f"s3://code/{resource['Properties'][name]}"
    parameters = {"Release": release, "GradualDeployment": gradual}
    return transform(template, parameters, Policies())["Resources"]

cases = [("1764230400", "true"), ("1764230401", "true"), ("1764230400", "false")]
json.dump([expanded(*case) for case in cases], sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def expanded() -> list[dict[str, dict[str, Any]]]:
    """The expansions of one release, of the next of the same code, and of the first without gradual deployment."""
    python = VENVS / "sam" / "bin" / "python"
    output = subprocess.run(
        [python, "-c", EXPAND, ROOT / "template.yaml"],
        env={"AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cases: list[dict[str, dict[str, Any]]] = json.loads(output)
    return cases


def of_type(expansion: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in expansion.items() if each["Type"] == kind}


def named_in(part: Any, *, at: str = "") -> Iterator[str]:
    """Names referred to in a part of a template, by `Ref`, `Fn::GetAtt`, `Fn::Sub` or `DependsOn`."""
    match part:
        case dict():
            for key, value in part.items():
                yield from named_in(value, at=key)
        case list():
            for each in part[:1] if at == "Fn::GetAtt" else part:
                yield from named_in(each, at=at)
        case str() if at == "Fn::Sub":
            yield from re.findall(r"\$\{(\w+)", part)
        case str() if at in {"Ref", "Fn::GetAtt", "DependsOn"}:
            yield part.partition(".")[0]


def published(expansion: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The version that each function publishes."""
    versions = of_type(expansion, "AWS::Lambda::Version")
    return {
        name_of(each["Properties"]["FunctionName"]): version for version, each in versions.items()
    }


def test_each_release_publishes_a_new_version_of_every_function_even_if_unchanged(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    one, other, _ = map(published, expanded)
    same = {function for function in one if one[function] == other[function]}
    assert one.keys() == resources("AWS::Serverless::Function").keys()
    assert same == {MIGRATION}  # the stack calls its newest code, published or not
    for function in one.keys() - same:  # AWS publishes no version without a change
        before, after = (case[function]["Properties"]["Description"] for case in expanded[:2])
        assert before != after


def test_each_release_redeploys_the_api_to_one_stage(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    one, other, _ = (set(of_type(case, "AWS::ApiGateway::Deployment")) for case in expanded)
    assert one.isdisjoint(other)
    [stage] = of_type(expanded[0], "AWS::ApiGateway::Stage").values()
    assert stage["Properties"]["StageName"] == "live"
    [deployment] = of_type(expanded[0], "AWS::ApiGateway::Deployment").values()
    assert (
        "StageName" not in deployment["Properties"]
    )  # it would create a second stage, without limits


def test_every_function_but_the_migration_is_deployed_gradually_and_rolled_back_on_an_alarm(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    gradually, _, at_once = expanded
    groups = of_type(gradually, "AWS::CodeDeploy::DeploymentGroup")
    moved = {name.removesuffix("DeploymentGroup") for name in groups}
    assert moved == resources("AWS::Serverless::Function").keys() - {MIGRATION, REHEARSAL}
    for group in groups.values():
        properties = group["Properties"]
        _, chosen = properties["DeploymentConfigName"]["Fn::Sub"]
        assert chosen["ConfigName"].startswith("Linear")
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        told = {name_of(alarm["Name"]) for alarm in properties["AlarmConfiguration"]["Alarms"]}
        assert told <= resources("AWS::CloudWatch::Alarm").keys()
        assert {"GatewayErrorAlarm", *VERSION_ALARMS, *DEFECT_ALARMS} <= told
        assert len(told) <= ALARMS_OF_A_GROUP
    assert not [name for name, each in at_once.items() if "CodeDeploy" in each["Type"]]


def test_every_extra_role_and_every_aws_managed_policy_is_in_the_table_of_rights(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    table = permissions()
    roles = of_type(expanded[0], "AWS::IAM::Role")
    of_functions = {f"{name}Role" for name in resources("AWS::Serverless::Function")}
    assert roles.keys() - of_functions == {"CodeDeployServiceRole"}
    assert "| CodeDeploy, " in table
    given = [
        policy for role in roles.values() for policy in role["Properties"]["ManagedPolicyArns"]
    ]
    ours = [policy for policy in given if isinstance(policy, dict)]
    assert ours.count({"Ref": "EveryFunctionPolicy"}) == len(of_functions)
    assert {name_of(policy) for policy in ours} == resources("AWS::IAM::ManagedPolicy").keys()
    for policy in (each for each in given if each not in ours):
        assert f"| `{policy.rpartition('/')[2]}` |" in table


def test_every_output_named_in_a_document_exists() -> None:
    documents = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.yaml")]
    texts = (path.read_text(encoding="utf-8") for path in documents)
    named = {name for text in texts for name in re.findall(r"salida `(\w+)`", text)}
    assert named
    assert named <= template()["Outputs"].keys()


def test_the_expanded_template_has_no_circular_dependency(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    for expansion in expanded:
        needed = {
            name: {each for each in named_in(part) if each in expansion}
            for name, part in expansion.items()
        }
        assert needed["ClockVersionAlarm"] >= {"PollOutboxFunction", "CleanUpFunction"}
        TopologicalSorter(needed).prepare()  # raises CycleError


def test_the_crashes_of_each_new_version_are_counted_among_its_own_calls(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    counted = counted_by(VERSION_ALARMS, expanded[0])
    assert counted.keys() == resources("AWS::Serverless::Function").keys() - {MIGRATION, REHEARSAL}
    assert all(names == {"Errors", "Invocations"} for names in counted.values())


def test_the_defects_of_each_new_version_are_counted_among_its_own_calls(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    """The clock's functions let their errors through: they are crashes."""
    counted = counted_by(DEFECT_ALARMS, expanded[0])
    assert counted.keys() == counted_by(VERSION_ALARMS[:2], expanded[0]).keys()
    assert all(names == {"Defect", "Invocations"} for names in counted.values())


def counted_by(names: tuple[str, ...], expansion: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
    """The metrics that these alarms read, by function. Each is of the last version only."""
    alarms = of_type(expansion, "AWS::CloudWatch::Alarm")
    counted: dict[str, set[str]] = {}
    for name in names:
        _, *stats = alarms[name]["Properties"]["Metrics"]
        assert len(stats) <= METRICS_OF_AN_ALARM
        for metric in (each["MetricStat"]["Metric"] for each in stats):
            of = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
            ours = metric["Namespace"] == "Reservations"
            folder = name_of(of["function" if ours else "FunctionName"])
            version = of["version" if ours else "ExecutedVersion"]
            assert name_of(version) == published(expansion)[folder]
            assert ours or of["Resource"] == {"Fn::Sub": f"${{{folder}}}:live"}
            counted.setdefault(folder, set()).add(metric["MetricName"])
    return counted


def test_sam_leaves_each_alarm_as_the_template_has_it(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    """So the series of test_alarms.py drive what is deployed. SAM only names the version that was published."""
    names = published(expanded[0])
    for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
        deployed = of_type(expanded[0], kind)
        assert deployed
        assert {name: each["Properties"] for name, each in deployed.items()} == {
            name: versions_named(alarm, names) for name, alarm in resources(kind).items()
        }


def versions_named(part: Any, names: dict[str, str]) -> Any:
    """The part, with each `!GetAtt Function.Version.Version` as SAM writes it."""
    match part:
        case {"Fn::GetAtt": [function, "Version.Version"]}:
            return {"Fn::GetAtt": [names[function], "Version"]}
        case dict():
            return {key: versions_named(value, names) for key, value in part.items()}
        case list():
            return [versions_named(each, names) for each in part]
        case _:
            return part


def test_codedeploy_rehearses_each_version_before_any_traffic(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    """Its role may invoke only functions named so (AWSCodeDeployRoleForLambda)."""
    hook = expanded[0][REHEARSAL]["Properties"]
    assert hook["FunctionName"]["Fn::Sub"].startswith("CodeDeployHook_")
    aliases = of_type(expanded[0], "AWS::Lambda::Alias")
    moved = {
        name: each["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]
        for name, each in aliases.items()
        if "UpdatePolicy" in each
    }
    assert len(moved) == len(aliases) - 2  # the migration and the rehearsal itself
    assert all(before == {"Ref": REHEARSAL} for before in moved.values())
    versions = published(expanded[0])
    told = hook["Environment"]["Variables"]["RELEASED_VERSIONS"]["Fn::Sub"]
    arns = dict(re.findall(r'"(\w+)": "\$\{(\w+)\}"', told))
    assert arns == {
        folder: versions[logical_id(folder)] for folder in functions() if folder in arns
    }
    assert arns.keys() == TRIALS.keys()
    [may] = [
        statement["Resource"]
        for policy in expanded[0][f"{REHEARSAL}Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
    ]
    assert {name_of(resource) for resource in may} == set(arns.values())


def test_event_sources_invoke_the_published_version(
    expanded: list[dict[str, dict[str, Any]]],
) -> None:
    aliases = of_type(expanded[0], "AWS::Lambda::Alias").keys()
    for mapping in of_type(expanded[0], "AWS::Lambda::EventSourceMapping").values():
        assert name_of(mapping["Properties"]["FunctionName"]) in aliases
    for rule in of_type(expanded[0], "AWS::Events::Rule").values():
        [target] = rule["Properties"]["Targets"]
        assert name_of(target["Arn"]) in aliases


# --- the dashboard --------------------------------------------------------------------------------


def widgets() -> list[dict[str, Any]]:
    [dashboard] = resources("AWS::CloudWatch::Dashboard").values()
    body: dict[str, Any] = json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    return [widget["properties"] for widget in body["widgets"]]


def metrics() -> list[list[Any]]:
    return [metric for widget in widgets() for metric in widget["metrics"] if len(metric) > 1]


def test_the_dashboard_shows_our_metrics_by_their_names() -> None:
    ours = [metric for metric in metrics() if metric[0] == "Reservations"]
    assert ours
    for _, name, dimension, value, _ in ours:
        assert name in metrics_explained()
        assert (dimension, value) == ("service", "reservations-${Stage}")


def test_the_dashboard_names_only_deployed_resources() -> None:
    [dashboard] = resources("AWS::CloudWatch::Dashboard").values()
    named = set(re.findall(r"\$\{(\w+)[.}]", dashboard["DashboardBody"]["Fn::Sub"]))
    assert named <= template()["Resources"].keys() | template()["Parameters"].keys()
    queues = {name for name in named if name.endswith("Queue")}
    assert queues == {name for name in resources("AWS::SQS::Queue") if "DeadLetter" in name}


def test_the_dashboard_draws_every_slo_at_the_value_that_the_documents_promise() -> None:
    slos = (ROOT / "docs/08-performance.md").read_text(encoding="utf-8").split("## 2.")[0]
    promised = {
        float(number.replace(",", "."))
        for cells in re.findall(r"^\| [^|]+\|([^|]+)\|([^|]+)\|", slos, re.MULTILINE)
        for number in re.findall(r"([\d,]+) m?s\b", " ".join(cells))
    } | {99.9}
    drawn = {
        float(line["value"])
        for widget in widgets()
        for line in widget.get("annotations", {}).get("horizontal", [])
    }
    assert drawn == promised


def test_every_function_but_the_migration_is_published_by_release_under_the_live_alias() -> None:
    for folder, properties in functions().items():
        if folder != "migrate_database":
            assert properties["AutoPublishCodeSha256"] == {"Ref": "Release"}, folder
            assert properties["AutoPublishAlias"] == "live", folder
