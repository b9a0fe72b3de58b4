"""Deploy the template to the embedded stack: `sam build`, then CloudFormation as `sam deploy` calls it.

CloudFormation cannot create SecureString parameters. LocalStack skips custom resources, SES identities and
configuration sets. This module makes both around the deployment.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import yaml
from botocore.config import Config
from botocore.exceptions import WaiterError

from local.credentials import Secrets
from local.paths import BUCKET_ADDRESSING, LOGS, ROOT, STACK, STAGE, STATE, VENVS
from local.processes import StackError

REGION = "eu-west-1"
STAMP = "built-from.txt"
DEPLOYED = STATE / "deployed.json"
_SENDER = "reservas@example.com"
_MAIL_SET = "reservations-local"  # as the template names it
BUILD = STATE / "build"
SAM = VENVS / "sam" / "bin" / "sam"
# LocalStack gives an API with the tag `_custom_id_` that id, so its address survives a new deployment. SAM puts tags
# on the API itself only with `PropagateTags`.
_API_ID = "reservations"
_FIXED_ID = {"Tags": {"_custom_id_": _API_ID}, "PropagateTags": True}
_CODE = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
_GRADUAL = ("AutoPublishAlias", "DeploymentPreference")
_OF_VERSIONS = re.compile(r"Function\.Version|^RehearseReleaseLogs ")
_SAM_SECONDS = 300
ORIGIN = re.compile(r"(https?://[^/\s]+|\*)")  # the template's pattern: LocalStack ignores it
_CONFIGURATION: list[str | Path] = [
    "--config-file",
    ROOT / "samconfig.toml",
    "--config-env",
    STAGE,
]


# A reservation that never reached payments waits ten minutes here, so that a machine that stalls loses
# none. Tests let one expire in a minute (ADR-011).
SAGA_POLICY = json.dumps({"profile": "short", "policy": {"hold_limit": 600}})
SAGA_POLICY_OF_TESTS = json.dumps({"profile": "short", "policy": {"hold_limit": 60}})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A setting in Parameter Store."""

    value: str
    secret: bool = False


def parameters(
    known: Secrets, *, database_url: str, payments_url: str, supplier_url: str
) -> dict[str, Parameter]:
    """Return the settings of the local target, all but `public-base-url`."""
    key_ring = {"current": "k1", "keys": {"k1": known.access_token_key}}
    return {
        "database-url": Parameter(database_url, secret=True),
        "payments-url": Parameter(payments_url),
        "supplier-url": Parameter(supplier_url),
        "payments-api-key": Parameter(known.payments_api_key, secret=True),
        "supplier-api-key": Parameter(known.supplier_api_key, secret=True),
        "access-token-keys": Parameter(json.dumps(key_ring), secret=True),
        "quote-keys": Parameter(json.dumps(known.quote_keys)),
        "webhook-secrets-payments": Parameter(
            json.dumps([known.payments_webhook_secret]), secret=True
        ),
        "webhook-secrets-supplier": Parameter(
            json.dumps([known.supplier_webhook_secret]), secret=True
        ),
        "mail-sender": Parameter(_SENDER),
        "issuer": Parameter("Viajes Ejemplo"),
        "support-contact": Parameter("soporte@example.com"),
        "saga-policy": Parameter(SAGA_POLICY),
    }


def web_origin() -> str:
    """Return the origin whose pages may call the local API: `WEB_ORIGIN`, or any.

    Any is safe: requests sign in by header, so no page can borrow a cookie.

    Raises:
        StackError: `WEB_ORIGIN` is no origin.
    """
    origin = os.environ.get("WEB_ORIGIN") or "*"
    if not ORIGIN.fullmatch(origin):
        raise StackError(
            f"WEB_ORIGIN is {origin!r}.",
            remedy="Set it to an origin such as http://127.0.0.1:5173 (no path, no slash), or leave it out.",
        )
    return origin


def settings_fingerprint(settings: dict[str, Parameter]) -> str:
    """Return the fingerprint of LocalStack's settings, launcher and packages: a change requires a new LocalStack."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    _add_files(
        digest, [ROOT / "local" / "localstack", *(ROOT / "local" / "locks").glob("localstack*")]
    )
    return digest.hexdigest()


def sources_fingerprint(root: Path = ROOT) -> str:
    """Return the fingerprint of the deployed sources and of the Python that their bytecode is for."""
    sources = _fingerprint("template.yaml", "samconfig.toml", "functions", "layers", root=root)
    return f"{runtime()} {sources}"


def servers_fingerprint() -> str:
    """Return the fingerprint of the simulators and the page's server: a change requires a restart."""
    return _fingerprint("local/simulators", "local/web.py")


def _fingerprint(*names: str, root: Path = ROOT) -> str:
    digest = hashlib.sha256()
    _add_files(digest, [root / name for name in names], root)
    return digest.hexdigest()


def _add_files(digest: Any, places: list[Path], root: Path = ROOT) -> None:
    for path in sorted(path for place in places for path in _files(place)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    yield from (
        path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )


def client(service: str, endpoint: str) -> Any:
    """Return a boto3 client of the embedded stack."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # any service, by name
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        # A saturated machine takes minutes for a second's work. A repeated CreateStack would be refused.
        config=Config(connect_timeout=5, read_timeout=300, retries={"total_max_attempts": 2}),
    )


def build(sources: str, folder: Path = BUILD, *, target: str = "") -> None:
    """Build functions and layers, unless they were built from these sources already.

    `target` holds uv's options for another platform than this machine's.
    """
    if is_built(sources, folder):
        return
    (folder / STAMP).unlink(missing_ok=True)
    python = VENVS / "lambda" / "bin" / "python"
    overrides = ["--parameter-overrides", f"PythonRuntime={runtime()}"]
    _sam(
        "build",
        ["--build-dir", folder, "--cache-dir", f"{folder}-cache", *overrides],
        {
            "PYTHON": str(python),
            "UV": str(STATE / "bootstrap" / "bin" / "uv"),
            "TARGET": target,
        },
    )
    (folder / STAMP).write_text(sources)


def is_built(sources: str, folder: Path = BUILD) -> bool:
    """Return whether `folder` holds the build of these sources."""
    stamp = folder / STAMP
    return stamp.exists() and stamp.read_text() == sources


def build_for_lambda(folder: Path) -> None:
    """Build on any machine for Lambda's Linux and the running version of Python."""
    version = runtime().removeprefix("python")
    target = f"--python-platform x86_64-manylinux_2_28 --python-version {version}"
    build(sources_fingerprint(), folder, target=target)


def deploy(
    endpoint: str,
    settings: dict[str, Parameter],
    known: Secrets,
    *,
    template: dict[str, Any],
    address: str,
    origin: str,
) -> str:
    """Deploy the build to a LocalStack without the stack, and return the URL of the API.

    `address` is LocalStack's URL for callers of the API.
    Pages of `origin` may call it.

    Raises:
        StackError: a resource could not be created, or the migration failed.
    """
    api_url = f"{address}/_aws/execute-api/{_API_ID}/live"
    put_parameters(endpoint, settings | {"public-base-url": Parameter(api_url)})
    verify_sender(endpoint)
    create_stack(endpoint, known, template, origin)
    resources = resources_of(endpoint)
    _publish_mail_events(endpoint, resources)
    _migrate(endpoint, resources)
    publish_what_waits(endpoint, resources)
    return api_url


def create_stack(
    endpoint: str, known: Secrets, template: dict[str, Any], origin: str, **parameters: str
) -> None:
    """Create the stack of a template, with further values of its parameters, and wait for it.

    Raises:
        StackError: a resource could not be created.
    """
    cloudformation = client("cloudformation", endpoint)
    values = {
        "PythonRuntime": runtime(),
        "WebApiKeyValue": known.web_api_key,
        "WebSecondApiKeyValue": known.web_second_api_key,
        "PartnerApiKeyValue": known.partner_api_key,
        "WebQuote": "required",
        "PartnerQuote": "observe",
        "UnpaidMailsPerClient": "10000",
        "AllowedOrigin": origin,
        **parameters,
    }
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=_uploaded(endpoint, json.dumps(template)),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in values.items()
        ],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 0.3, "MaxAttempts": 600}
        )
    except WaiterError as error:
        raise StackError(
            "\n    ".join(["CloudFormation could not create:", *_failures(cloudformation)]),
            remedy=f"Fix template.yaml and run the command again; see also the emulator's log in {LOGS}.",
        ) from error


def _uploaded(endpoint: str, template: str) -> str:
    """Upload the template: CloudFormation reads a megabyte from S3, but 51,200 bytes from a request."""
    s3, bucket, key = client("s3", endpoint), f"{STACK}-templates", "template.json"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=key, Body=template.encode())
    return f"{endpoint}/{bucket}/{key}"


def built_template(folder: Path = BUILD) -> dict[str, Any]:
    """Return the template of `sam build` without versions and aliases of functions.

    They would double each function, and nothing on one machine shifts calls between versions.
    Buckets are addressed by path. The API has a fixed id, so a webhook of an earlier run
    reaches it at once. It opens once each function has its log group: the emulator would make one.
    """
    template: dict[str, Any] = yaml.safe_load((folder / "template.yaml").read_text())
    for name in _GRADUAL:
        del template["Globals"]["Function"][name]
    for resource in template["Resources"].values():
        resource.get("Properties", {}).pop("VersionDeletionPolicy", None)
    template["Globals"]["Function"]["Environment"]["Variables"] |= BUCKET_ADDRESSING
    template["Resources"]["Api"]["Properties"] |= _FIXED_ID
    template["Resources"]["Api"]["DependsOn"] = [
        f"{name.removesuffix('Function')}Logs"
        for name, resource in template["Resources"].items()
        if any(
            each["Type"] == "Api"
            for each in resource.get("Properties", {}).get("Events", {}).values()
        )
    ]
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if not _OF_VERSIONS.search(f"{name} {resource}")
    }
    return template


def hot_template() -> dict[str, Any]:
    """Return the template with its code in the folders of `sam build`.

    LocalStack's bucket `hot-reload` takes a folder instead of a zip. Zipping, uploading and unpacking 20 MB
    would cost a third of the start.
    """
    template = built_template()
    for properties, name in code_in(template):
        properties[name] = {"Bucket": "hot-reload", "Key": str(BUILD / properties[name])}
    return template


def code_in(template: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the properties of each function and layer, and the name of the one that has its code."""
    for resource in template["Resources"].values():
        if name := _CODE.get(resource["Type"]):
            yield resource["Properties"], name


def _failures(cloudformation: Any) -> list[str]:
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=STACK)
    [stack] = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    failed = [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for page in pages
        for event in page["StackEvents"]
        if event["ResourceStatus"].endswith("FAILED") and event.get("ResourceStatusReason")
    ]
    return failed or [stack.get("StackStatusReason", "the transform of the template failed")]


def put_parameters(endpoint: str, settings: dict[str, Parameter], *, stage: str = STAGE) -> None:
    """Store the settings of a stage in Parameter Store, over existing values."""
    for name, parameter in settings.items():
        client("ssm", endpoint).put_parameter(
            Name=f"/reservations/{stage}/{name}",
            Value=parameter.value,
            Type="SecureString" if parameter.secret else "String",
            Overwrite=True,
        )


def change_saga_policy(endpoint: str, policy: str) -> None:
    """Store a `saga-policy` on a stack that is up, and restart its functions, which read it once."""
    put_parameters(endpoint, {"saga-policy": Parameter(policy)})
    aws, resources = client("lambda", endpoint), resources_of(endpoint)
    functions = [name for kind, name in resources.values() if kind == "AWS::Lambda::Function"]
    for name in functions:
        aws.update_function_configuration(FunctionName=name)  # changes no setting but restarts it
    for name in functions:
        aws.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 150}
        )
    publish_what_waits(endpoint, resources)


def verify_sender(endpoint: str) -> None:
    """Verify the sender's address: SES refuses any other, and so does LocalStack."""
    client("ses", endpoint).verify_email_identity(EmailAddress=_SENDER)


def describe(
    known: Secrets,
    *,
    api_url: str,
    aws_url: str,
    stage: str,
    database_url: str,
    simulator_urls: dict[str, str],
    origin: str,
) -> dict[str, Any]:
    """Return the description of a running stack for tools and tests on this machine."""
    return {
        "api_url": api_url,
        "api_keys": {"web": known.web_api_key, "partner": known.partner_api_key},
        "aws_endpoint_url": aws_url,
        "region": REGION,
        "stage": stage,
        "database_url": database_url,
        "payments_url": simulator_urls["payments"],
        "supplier_url": simulator_urls["supplier"],
        "offers_url": simulator_urls["offers"],
        "provider_keys": {
            "payments": known.payments_api_key,
            "supplier": known.supplier_api_key,
        },
        "web_origin": origin,
        "webhook_secrets": {
            "payments": known.payments_webhook_secret,
            "supplier": known.supplier_webhook_secret,
        },
    }


def connect_webhooks(description: dict[str, Any]) -> None:
    """Point the simulators' webhooks at the API."""
    for name, secret in description["webhook_secrets"].items():
        target = {"url": f"{description['api_url']}/v1/webhooks/{name}", "secret": secret}
        simulator = description[f"{name}_url"]
        httpx.post(f"{simulator}/_sim/webhook", json=target, timeout=5).raise_for_status()


def runtime() -> str:
    """Return Lambda's name for the Python that runs this."""
    # The functions' environment has the same interpreter as ours.
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _sam(command: str, arguments: list[str | Path], environment: dict[str, str]) -> None:
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"sam-{command}.log"
    with log.open("wb") as output:
        result = subprocess.run(
            [SAM, command, *_CONFIGURATION, *arguments],
            cwd=ROOT,
            env={**sam_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_SAM_SECONDS,
        )
    if result.returncode:
        lines = log.read_text(errors="replace").splitlines()[-12:]
        raise StackError(
            "\n    ".join([f"sam {command} failed. Its last log lines:", *lines]),
            remedy=f"See {log}.",
        )


def sam_environment() -> dict[str, str]:
    """Return the environment of SAM commands: telemetry off, state under `.local/`."""
    # SAM's builder looks for python3.x and pip in PATH.
    path = os.pathsep.join([str(STATE / "bootstrap" / "bin"), os.environ["PATH"]])
    return {
        **os.environ,
        "PATH": path,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(STATE / "sam"),  # instead of ~/.aws-sam
    }


def resources_of(endpoint: str) -> dict[str, tuple[str, str]]:
    """Return type and physical id of each resource of the stack, by logical id."""
    pages = client("cloudformation", endpoint).get_paginator("list_stack_resources")
    return {
        resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
        for page in pages.paginate(StackName=STACK)
        for resource in page["StackResourceSummaries"]
    }


def _publish_mail_events(endpoint: str, resources: dict[str, tuple[str, str]]) -> None:
    """Publish bounces and complaints to the template's topic. SES sends a greeting there at once."""
    ses = client("ses", endpoint)
    ses.create_configuration_set(ConfigurationSet={"Name": _MAIL_SET})
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=_MAIL_SET,
        EventDestination={
            "Name": "bounces-and-complaints",
            "Enabled": True,
            "MatchingEventTypes": ["bounce", "complaint"],
            "SNSDestination": {"TopicARN": resources["MailEventTopic"][1]},
        },
    )


def _migrate(endpoint: str, resources: dict[str, tuple[str, str]]) -> None:
    """Run the migration. On AWS a custom resource does; LocalStack skips it without an error."""
    if "MigrateDatabaseFunction" not in resources:
        return
    answer = client("lambda", endpoint).invoke(
        FunctionName=resources["MigrateDatabaseFunction"][1], Payload=b"{}"
    )
    if "FunctionError" in answer:
        error = json.loads(answer["Payload"].read())
        raise StackError(
            f"The migration failed: {error.get('errorMessage', error)}",
            remedy="Fix the migration and run the command again; `make logs` shows the function's log.",
        )


def publish_what_waits(endpoint: str, resources: dict[str, tuple[str, str]]) -> None:
    """Run the poller once: its rule alone would leave it idle for up to a minute."""
    if "PollOutboxFunction" in resources:
        client("lambda", endpoint).invoke(
            FunctionName=resources["PollOutboxFunction"][1], Payload=b"{}", InvocationType="Event"
        )
