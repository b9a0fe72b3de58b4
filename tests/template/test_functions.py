"""The functions of the template: their code, their time, their rights and their settings."""

import ast
import json
import re
import time
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from local.template import SIZES, in_size
from reservations import config
from reservations.adapters.aws.s3 import S3_BRIEF_CONFIG
from reservations.adapters.aws.ses import SES_CONFIG
from reservations.adapters.aws.ssm import SSM_BRIEF_CONFIG
from reservations.adapters.mysql.address import ANSWER_SECONDS
from reservations.domain.facts import Provider
from reservations.entrypoints.queue import RECORD_MS
from tests.template.resources import (
    ROOT,
    functions,
    logical_id,
    name_of,
    resources,
    samconfig,
    statements,
    template,
)
from tools.documents import sources
from tools.release import RELEASE_FILE
from tools.rights import WILDCARDS, rights

FOLDERS = sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir())
HANDLER_LINES = 40
RESERVING = SIZES[1:]
OURS = (
    0.7  # of the database's connections; people and environments of an old deployment need the rest
)

every_function = pytest.mark.parametrize("folder", FOLDERS)


def source(folder: str) -> str:
    return (ROOT / "functions" / folder / "handler.py").read_text(encoding="utf-8")


def docs(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


# --- the code -----------------------------------------------------------------------------------------


def test_every_folder_is_deployed_under_its_own_name_and_nothing_else_is() -> None:
    assert sorted(functions()) == FOLDERS
    assert sorted(resources("AWS::Serverless::Function")) == sorted(map(logical_id, FOLDERS))


@every_function
def test_a_function_is_one_file(folder: str) -> None:
    files = [
        path.name for path in (ROOT / "functions" / folder).iterdir() if path.name != "__pycache__"
    ]
    assert files == ["handler.py"]
    assert functions()[folder]["Handler"] == "handler.lambda_handler"


def code_lines(tree: ast.Module) -> int:
    """Number of lines with code, without imports, docstrings, blank lines and comments."""
    body = [
        node
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    lines = {
        inner.lineno
        for node in body
        for inner in ast.walk(node)
        if isinstance(inner, ast.stmt | ast.expr | ast.arg)
    }
    return len(lines)


@every_function
def test_a_handler_translates_and_delegates_in_few_lines(folder: str) -> None:
    assert code_lines(ast.parse(source(folder))) < HANDLER_LINES


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module)


@every_function
def test_a_handler_imports_the_layer_and_never_a_sibling(folder: str) -> None:
    roots = {name.split(".")[0] for name in imported(ast.parse(source(folder)))}
    assert roots.isdisjoint({"functions", "handler", *FOLDERS})
    assert "reservations" in roots


def test_exactly_the_functions_that_render_vouchers_have_the_pdf_layer() -> None:
    drawing = {folder for folder in FOLDERS if "voucher_renderer" in source(folder)}
    with_layer = {
        folder
        for folder, properties in functions().items()
        if {"Ref": "PdfLayer"} in properties["Layers"]
    }
    assert drawing == with_layer


# --- time and numbers -----------------------------------------------------------------------------


GATEWAY_SECONDS = 29  # limit of a REST API


def test_a_request_ends_before_the_gateway_stops_waiting() -> None:
    serving = [
        properties["Timeout"]
        for properties in functions().values()
        if any(event["Type"] == "Api" for event in properties.get("Events", {}).values())
    ]
    assert max(serving) < GATEWAY_SECONDS


def test_the_poller_runs_until_its_next_run_begins() -> None:
    """At least two runs may overlap, or the second would be throttled."""
    [run_s] = re.findall(r"^RUN_S = (\d+)", source("poll_outbox"), re.MULTILINE)
    [closing_ms] = re.findall(r"^CLOSING_MS = ([\d_]+)", source("poll_outbox"), re.MULTILINE)
    poller = functions()["poll_outbox"]
    [minutely] = poller["Events"].values()
    assert minutely["Properties"]["Schedule"] == "rate(1 minute)"
    assert poller["Timeout"] >= int(run_s) + int(closing_ms) / 1000
    assert int(run_s) > 60
    assert all(reserved(size)["poll_outbox"] >= 2 for size in RESERVING)


@pytest.mark.parametrize(
    ("folder", "provider"),
    [("process_payment", Provider.PAYMENTS), ("confirm_supplier", Provider.SUPPLIER)],
)
def test_a_provider_step_has_time_for_the_slowest_answer_and_for_recording_it(
    folder: str, provider: Provider
) -> None:
    call = config.PROVIDERS[provider].limits["standard"].longest.total_seconds()
    assert functions()[folder]["Timeout"] >= call + 4  # two transactions


def longest(call: Config) -> float:
    """Seconds that one SDK call can take. Without retries there is no pause to add."""
    told = vars(call)
    assert told["retries"]["total_max_attempts"] == 1
    return float(told["connect_timeout"] + told["read_timeout"])


def test_a_mail_begun_after_the_store_hung_is_still_sent_and_recorded() -> None:
    """The voucher may first be read and rendered again. A send that is cut off would use up its retry."""
    transactions = 3 * 2
    needed = 2 * longest(S3_BRIEF_CONFIG) + longest(SES_CONFIG) + transactions
    assert functions()["notify_customer"]["Timeout"] >= needed
    assert "services.brief_document_store" in source("notify_customer")


def test_refreshing_settings_from_a_hanging_store_leaves_time_for_the_request() -> None:
    answered = longest(SSM_BRIEF_CONFIG) + ANSWER_SECONDS
    assert all(properties["Timeout"] > answered for properties in functions().values())


def test_a_function_that_takes_batches_has_time_for_more_than_one_message() -> None:
    batches = {
        folder
        for folder, properties in functions().items()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS" and event["Properties"]["BatchSize"] > 1
    }
    assert batches
    for folder in batches:
        assert functions()[folder]["Timeout"] * 1000 >= RECORD_MS * 1.5


def reserved(size: str) -> dict[str, int]:
    """Reserved concurrency by function: the number of environments that may live at once."""
    return {
        folder: most
        for folder, properties in functions().items()
        if (given := properties.get("ReservedConcurrentExecutions"))
        and (most := in_size(given, size)) is not None
    }


def test_every_function_but_the_migration_has_its_environments_reserved() -> None:
    """The stack calls the migration once at a time. A lock in the database makes a second run wait.

    The rehearsal opens no connection, and only a deployment calls it.
    """
    for size in RESERVING:
        assert reserved(size).keys() == {*FOLDERS} - {"migrate_database", "rehearse_release"}


def test_a_small_account_reserves_nothing() -> None:
    """AWS refuses any reservation that leaves fewer than a hundred places free; a new account has ten."""
    assert reserved("small") == {}


def connections_of(folder: str) -> int:
    """Connections per environment: one, and another one to read across reservations."""
    unhurried = {name for name in ports() if "_unhurried_database" in ports_behind(name)}
    own = ports_of(folder)
    return (1 if own - unhurried else 0) + (1 if own & unhurried else 0)


def test_only_the_clean_up_uses_two_connections() -> None:
    assert {folder for folder in FOLDERS if connections_of(folder) != 1} == {"clean_up"}
    assert connections_of("clean_up") == 2


@pytest.mark.parametrize("size", RESERVING)
def test_all_functions_at_once_leave_connections_for_people(size: str) -> None:
    """A small account is bounded by its own places, which are fewer."""
    rows = re.findall(
        rf"^\| `{size}` \| `max_connections` ≥ (\d+)", docs("08-performance.md"), re.MULTILINE
    )
    [granted] = map(int, rows)
    at_once = {"migrate_database": 1} | reserved(size)
    taken = sum(most * connections_of(folder) for folder, most in at_once.items())

    assert taken <= OURS * granted


def test_every_function_runs_in_the_network_of_the_database() -> None:
    shared = template()["Globals"]["Function"]["VpcConfig"]
    assert all(properties["VpcConfig"] == shared for properties in functions().values())


@every_function
def test_every_function_has_the_shared_policy(folder: str) -> None:
    assert {"Ref": "EveryFunctionPolicy"} in functions()[folder]["Policies"]


def given_with(condition: str) -> dict[str, Any]:
    """The statement of the shared policy that depends on a condition."""
    policy = resources("AWS::IAM::ManagedPolicy")["EveryFunctionPolicy"]
    cases = [each["Fn::If"] for each in policy["PolicyDocument"]["Statement"] if "Fn::If" in each]
    [(statement, otherwise)] = [case[1:] for case in cases if case[0] == condition]
    assert otherwise == {"Ref": "AWS::NoValue"}
    return dict(statement)


def test_a_key_of_the_company_s_own_decrypts_settings_and_nothing_else() -> None:
    statement = given_with("WithSettingsKey")
    assert (statement["Action"], statement["Resource"]) == (
        "kms:Decrypt",
        {"Ref": "SettingsKeyArn"},
    )
    [via] = statement["Condition"]["StringEquals"].items()
    assert via == ("kms:ViaService", {"Fn::Sub": "ssm.${AWS::Region}.${AWS::URLSuffix}"})


def test_mails_may_be_sent_from_one_domain_only_if_it_is_named() -> None:
    [sending] = [s for s in policy_documents() if s["Action"] == "ses:SendRawEmail"]
    condition, named, otherwise = sending["Condition"]["Fn::If"]
    assert (condition, otherwise) == ("WithMailSenderDomain", {"Ref": "AWS::NoValue"})
    assert named == {"StringLike": {"ses:FromAddress": {"Fn::Sub": "*@${MailSenderDomain}"}}}


def test_each_clean_up_task_is_scheduled_and_implemented() -> None:
    scheduled = {
        json.loads(event["Properties"]["Input"])["task"]
        for event in functions()["clean_up"]["Events"].values()
    }
    assert scheduled == set(re.findall(r'case "(\w+)"', source("clean_up")))


def test_the_stack_waits_longer_for_the_migration_than_it_may_take() -> None:
    [migration] = resources("Custom::DatabaseMigration").values()
    assert name_of(migration["ServiceToken"]) == "MigrateDatabaseFunction"
    assert int(migration["ServiceTimeout"]) > functions()["migrate_database"]["Timeout"]
    assert migration["Code"] == {"Ref": "CoreLayer"}  # new code, new run


def test_no_function_runs_before_the_schema_is_there() -> None:
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function" and name != "MigrateDatabaseFunction":
            assert resource["DependsOn"] == "DatabaseMigration", name


def test_no_function_runs_before_the_modes_of_its_clients_are_there() -> None:
    needed = template()["Resources"]["DatabaseMigration"]["DependsOn"]
    assert {"ClientModes", "MailsPerHour"} <= set(needed)


def test_the_migration_finds_its_log_group_and_its_database() -> None:
    """The migration runs during the deployment. Without `DependsOn` it would create its own log group first."""
    migration = template()["Resources"]["DatabaseMigration"]
    assert "MigrateDatabaseLogs" in migration["DependsOn"]
    _, address, _ = migration["Properties"]["Address"]["Fn::If"]
    assert name_of(address) == "DatabaseUrl"


# --- logs -----------------------------------------------------------------------------------------------


@every_function
def test_a_function_has_a_log_group_of_the_stack(folder: str) -> None:
    names = [group["LogGroupName"] for group in resources("AWS::Logs::LogGroup").values()]
    assert {"Fn::Sub": f"/aws/lambda/${{{logical_id(folder)}}}"} in names


def test_every_log_is_kept_for_the_documented_days() -> None:
    [days] = re.findall(
        r"^### RNF-13 .+\n- \*\*Umbral:\*\* (\d+) días", docs("01-etapa-1-requerimientos.md"), re.M
    )
    groups = resources("AWS::Logs::LogGroup")
    kept = {name: group.get("RetentionInDays") for name, group in groups.items()}
    assert kept == dict.fromkeys(groups, int(days))


# --- rights -----------------------------------------------------------------------------------------------


def policy_documents() -> Iterator[dict[str, Any]]:
    for properties in functions().values():
        yield from statements(properties)
    for kind in (
        "AWS::IAM::ManagedPolicy",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
    ):
        for properties in resources(kind).values():
            for statement in properties["PolicyDocument"]["Statement"]:
                yield statement["Fn::If"][1] if "Fn::If" in statement else statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_no_right_is_a_wildcard() -> None:
    for statement in policy_documents():
        if statement["Effect"] == "Deny":
            continue
        assert all("*" not in str(action) for action in listed(statement["Action"])), statement
        assert "*" not in listed(statement["Resource"]), statement
        assert statement.get("Principal") != "*"


@every_function
def test_a_function_that_reads_a_queue_reads_no_other(folder: str) -> None:
    """SAM gives each reader an AWS policy that covers every queue of the account, so the others are denied."""
    properties = functions()[folder]
    read = [
        event["Properties"]["Queue"]
        for event in properties.get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    denials = [s for s in statements(properties) if s["Effect"] == "Deny"]
    assert [listed(denial["NotResource"]) for denial in denials] == ([read] if read else [])
    for denial in denials:
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        assert denial["Action"] == actions


def test_no_function_makes_a_log_group_of_its_own() -> None:
    denials = [
        statement
        for policy in resources("AWS::IAM::ManagedPolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement.get("Effect") == "Deny"
    ]
    assert [(denial["Action"], denial["Resource"]) for denial in denials] == [
        ("logs:CreateLogGroup", "*")
    ]


def test_requests_to_the_bucket_without_tls_are_denied() -> None:
    [policy] = resources("AWS::S3::BucketPolicy").values()
    [denial] = policy["PolicyDocument"]["Statement"]
    assert policy == {
        "Bucket": {"Ref": "DocumentBucket"},
        "PolicyDocument": {"Statement": [denial]},
    }
    assert denial == {
        "Sid": "OnlyOverTls",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [
            {"Fn::GetAtt": ["DocumentBucket", "Arn"]},
            {"Fn::Sub": "${DocumentBucket.Arn}/*"},
        ],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def test_every_wildcard_right_is_documented_and_every_documented_one_is_used() -> None:
    granted = chain.from_iterable(rights().values())

    assert {name for right in granted for name in right.wildcards} == set(WILDCARDS)


def test_a_wildcard_is_only_the_last_part_of_an_arn() -> None:
    """A wildcard for region or account would include resources of others."""
    ours = [right for some in rights().values() for right in some if ":" in right.actions[0]]
    stars = [name for right in ours for name in right.resources if "*" in name]
    assert stars
    assert [name for name in stars if not re.fullmatch(r"[^*]+(-\*)?/\*", name)] == []


@every_function
def test_a_function_has_exactly_the_document_rights_that_its_code_needs(folder: str) -> None:
    """Listed by hand, since an extra right is as wrong as a missing one."""
    needed = {
        "get_reservation": {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"},
        "issue_voucher": {"s3:PutObject"},
        "notify_customer": {"s3:GetObject", "s3:PutObject", "s3:ListBucket"},
        "clean_up": {"s3:DeleteObject"},
    }
    actions = {action for right in rights()[folder] for action in right.actions}
    assert {action for action in actions if action.startswith("s3:")} == needed.get(folder, set())


def test_only_functions_with_document_rights_know_the_bucket() -> None:
    told = {
        folder
        for folder, properties in functions().items()
        if "DOCUMENT_BUCKET" in properties.get("Environment", {}).get("Variables", {})
    }
    granted = {
        folder
        for folder, some in rights().items()
        if any("DocumentBucket.Arn" in resource for right in some for resource in right.resources)
    }
    assert told == granted


LAYER = ROOT / "layers/core/reservations"
FROM_ENVIRONMENT = set(config.EnvironmentSettings.__subclasses__())
SETTINGS = {model.__name__: model for model in sources() if model is not config.ParameterPath}

Models = frozenset[type[config.Settings]]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def ports() -> dict[str, ast.FunctionDef]:
    """The members of `Services`."""
    [services] = [
        node
        for node in tree(LAYER / "services.py").body
        if isinstance(node, ast.ClassDef) and node.name == "Services"
    ]
    return {node.name: node for node in services.body if isinstance(node, ast.FunctionDef)}


def members_used(code: ast.AST, *, of: str) -> set[str]:
    """The members of `Services` that some code uses through the name `of`: `services` or `self`."""
    return {
        node.attr
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == of
    } & ports().keys()


@cache
def ports_behind(port: str) -> frozenset[str]:
    """A member of `Services` and all members it uses, directly or through another."""
    others = members_used(ports()[port], of="self") - {port}
    return frozenset({port}).union(*map(ports_behind, others))


@cache
def settings_behind(port: str) -> Models:
    """The settings that a member of `Services` reads, directly or through another."""
    nodes = [node for name in ports_behind(port) for node in ast.walk(ports()[name])]
    named = [node for node in nodes if isinstance(node, ast.Attribute)]
    of_one = {
        Provider[node.attr]
        for node in named
        if isinstance(node.value, ast.Name) and node.value.id == "Provider"
    }
    rows = [config.PROVIDERS[provider] for provider in of_one or Provider]
    own: set[type[config.Settings]] = set()
    for node in named:
        if isinstance(node.value, ast.Subscript):  # of `config.PROVIDERS`
            own |= {getattr(row, node.attr) for row in rows}
        elif node.attr in SETTINGS:
            own.add(SETTINGS[node.attr])
    return frozenset(own)


def edges(code: ast.Module) -> set[str]:
    """The modules of `entrypoints` that a handler imports."""
    return {
        name
        for node in ast.walk(code)
        if isinstance(node, ast.ImportFrom)
        and str(node.module).startswith("reservations.entrypoints")
        for name in (
            [alias.name for alias in node.names]
            if node.module == "reservations.entrypoints"
            else [str(node.module).rpartition(".")[2]]
        )
    }


def ports_of(folder: str) -> set[str]:
    """The members of `Services` that a function uses, directly or through its edges."""
    code = ast.parse(source(folder))
    codes = [code, *(tree(LAYER / "entrypoints" / f"{edge}.py") for edge in edges(code))]
    return set().union(*(members_used(each, of="services") for each in codes))


@cache
def settings_of(folder: str) -> Models:
    behind = map(settings_behind, ports_of(folder))
    return frozenset[type[config.Settings]]().union(*behind)


def test_the_settings_of_a_function_are_derived_from_its_code() -> None:
    """The tests below rely on this derivation. These two examples can be checked by hand."""
    assert settings_of("poll_outbox") == {
        config.DatabaseSettings,
        config.QueueSettings,
        config.SagaSettings,
    }
    assert settings_of("process_payment") == {
        config.DatabaseSettings,
        config.DeadLetterSettings,
        config.PROVIDERS[Provider.PAYMENTS].settings,
        config.QueueSettings,
        config.SagaSettings,
    }


@every_function
def test_a_function_may_read_its_own_parameters_and_no_other(folder: str) -> None:
    reading = [
        resource
        for statement in statements(functions()[folder])
        if statement["Action"] == "ssm:GetParameters"
        for resource in listed(statement["Resource"])
    ]
    allowed = {resource["Fn::Sub"].split("/")[-1] for resource in reading}
    needed = {
        model.parameter(field).replace("_", "-")
        for model in settings_of(folder) - FROM_ENVIRONMENT
        for field in model.model_fields
    }
    assert allowed == needed
    prefix = (
        "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:"
        "parameter/reservations/${Stage}/"
    )
    assert all(resource["Fn::Sub"].startswith(prefix) for resource in reading)


@every_function
def test_a_function_has_its_own_addresses_in_its_environment_and_no_other(folder: str) -> None:
    told = set(functions()[folder].get("Environment", {}).get("Variables", {}))
    shared = set(template()["Globals"]["Function"]["Environment"]["Variables"])
    needed = {
        field.upper()
        for model in settings_of(folder) & FROM_ENVIRONMENT
        for field in model.model_fields
    }
    assert told - shared == needed - shared


def test_no_secret_is_in_the_environment() -> None:
    for folder, properties in functions().items():
        for name in properties.get("Environment", {}).get("Variables", {}):
            assert not re.search("KEY|SECRET|PASSWORD|TOKEN", name), folder


def test_every_setting_is_used_by_some_function() -> None:
    used = {model for folder in FOLDERS for model in settings_of(folder)}
    assert set(SETTINGS.values()) == used


def queues_of_hints(variables: dict[str, Any]) -> set[str]:
    return {name_of(value) for name, value in variables.items() if name.endswith("QUEUE_URL")}


@every_function
def test_a_function_may_send_its_dead_letters_and_its_hints_and_nothing_else(folder: str) -> None:
    """Hints of a new reservation are for the first step only."""
    shared = queues_of_hints(template()["Globals"]["Function"]["Environment"]["Variables"])
    own = queues_of_hints(functions()[folder].get("Environment", {}).get("Variables", {})) - shared
    if config.QueueSettings in settings_of(folder):
        own |= {"PaymentQueue"} if folder == "create_reservation" else shared
    granted = {
        queue.removesuffix(".Arn")
        for right in rights()[folder]
        if right.actions[0].startswith("sqs:Send")
        for queue in right.resources
    }
    assert granted == own


# --- where it is deployed to --------------------------------------------------------------------------


def test_the_samconfig_deploys_nowhere_by_accident() -> None:
    settings = samconfig()
    assert settings["default"] == {"validate": {"parameters": {"lint": True}}}
    assert "deploy" not in settings["local"]
    assert settings["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_has_a_stack_of_its_own_and_its_parameters_outside_the_repository(
    stage: str,
) -> None:
    deploy = samconfig()[stage]["deploy"]["parameters"]
    assert deploy["stack_name"] == f"reservations-{stage}"
    particulars = f"{stage}.parameters.yaml"
    # A changed default does not reach an existing stack.
    runtime = template()["Parameters"]["PythonRuntime"]["Default"]
    live = {"GradualDeployment=true", "AccessLog=true"} if stage == "prod" else set()
    given = {f"Stage={stage}", f"PythonRuntime={runtime}", f"file://{RELEASE_FILE}", *live}
    assert given < set(deploy["parameter_overrides"])
    assert deploy["parameter_overrides"][-1] == f"file://{particulars}"  # the last one wins
    ignored = Path(ROOT, ".gitignore").read_text(encoding="utf-8").split()
    assert any(Path(particulars).match(pattern) for pattern in ignored)


def test_each_deployment_has_a_release_number_of_its_own() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndeploy:")[1].split("\n\n")[0]
    assert f'$$(date +%s)\\"" > {RELEASE_FILE}\n' in recipe
    assert re.fullmatch(
        template()["Parameters"]["Release"]["AllowedPattern"], str(int(time.time()))
    )


def test_the_template_rules_use_only_functions_that_cloudformation_allows_in_rules() -> None:
    """AWS CloudFormation, "Rule functions": another function is reported as a wrong template format."""
    taken = r"And|Contains|EachMember(Equals|In)|Equals|Not|Or|RefAll|ValueOf(All)?"
    asked = set(re.findall(r"'Fn::(\w+)':", str(template()["Rules"])))
    assert [name for name in asked if not re.fullmatch(taken, name)] == []


def test_code_built_for_one_runtime_is_deployed_to_no_other() -> None:
    [assertion] = template()["Rules"]["DeployedAsItIsBuilt"]["Assertions"]
    runtime = template()["Parameters"]["PythonRuntime"]["Default"]
    assert assertion["Assert"] == {"Fn::Equals": [{"Ref": "PythonRuntime"}, runtime]}


def test_snapshots_are_refused_for_a_runtime_that_has_none() -> None:
    """CloudFormation judges the rules before it makes anything."""
    rule = template()["Rules"]["SnapshotsNeedTheirRuntime"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "SnapStart"}, "true"]}
    [assertion] = rule["Assertions"]
    refused = {"Fn::Equals": [{"Ref": "PythonRuntime"}, "python3.11"]}
    assert assertion["Assert"] == {"Fn::Not": [refused]}


def test_exactly_the_functions_behind_the_gateway_start_from_snapshots() -> None:
    asked = {folder for folder, own in functions().items() if "SnapStart" in own}
    called = {
        folder
        for folder, own in functions().items()
        if any(event["Type"] == "Api" for event in own.get("Events", {}).values())
    }
    assert asked == called
    for folder in asked:
        given = functions()[folder]["SnapStart"]["ApplyOn"]
        assert given == {"Fn::If": ["WithSnapStart", "PublishedVersions", "None"]}
        assert functions()[folder]["VersionDeletionPolicy"] == "Delete"  # each one is paid for


@pytest.mark.parametrize("layer", ["dependencies", "pdf"])
def test_the_layers_are_built_for_the_runtime_that_is_deployed(layer: str) -> None:
    runtime = template()["Parameters"]["PythonRuntime"]["Default"]
    recipe = (ROOT / "layers" / layer / "Makefile").read_text(encoding="utf-8")
    assert f"PYTHON ?= {runtime}\n" in recipe
    assert f"--python-version {runtime.removeprefix('python')}\n" in recipe
    assert "x86_64-manylinux_2_28" in recipe
    assert template()["Globals"]["Function"]["Architectures"] == ["x86_64"]
