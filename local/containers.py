"""The Docker path: `python -m local.containers up|test|ops|logs|down|config`; SAM: functions|invoke|start-api.

The servers are those of `docker-compose.yml`. `up` deploys the template to its LocalStack, which runs each
function in a container. The SAM commands run single functions without a deployment.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from local import deployment, events, private_packages
from local.credentials import Secrets, stack_secrets
from local.deployment import Parameter
from local.paths import ROOT, STATE, write_json
from local.processes import StackError
from local.progress import complain, done, note, step
from local.stack import leave_the_cloud_and_proxies_out

# Copied from docker-compose.yml; a test compares them.
DATABASE_ON_THIS_MACHINE, DATABASE_AMONG_CONTAINERS = "127.0.0.1:33306", "mysql:3306"
_ROOT = "root:reservations-root"
ADMINISTRATORS = {
    "mysql": f"mysql+pymysql://{_ROOT}@127.0.0.1:33306",
    "mariadb": f"mysql+pymysql://{_ROOT}@127.0.0.1:33307",
}
AWS_ON_THIS_MACHINE = "http://127.0.0.1:4566"
AWS_EVERYWHERE = "http://localhost.localstack.cloud:4566"
SIMULATORS_ON_THIS_MACHINE = {
    "payments": "http://127.0.0.1:8081",
    "supplier": "http://127.0.0.1:8082",
    "offers": "http://127.0.0.1:8083",
}
PROVIDERS_AMONG_CONTAINERS = {name: f"http://{name}:8080" for name in ("payments", "supplier")}
NETWORK = "reservations_default"
STACK_FILE = STATE / "containers" / "stack.json"

_BUILD = STATE / "containers" / "build"
_CODE = STATE / "containers" / "code"
_SAM_TEMPLATE = _BUILD / "sam-local.yaml"
_STAGE_HERE = "here"  # for `ops`, which reaches the database at another address than functions do
_SAM_STAGE = "sam-local"
_COMPOSE = "usr/libexec/docker/cli-plugins/docker-compose"
_START_SECONDS = 300
_COLD_START_SECONDS = 60  # Lambda times a cold start by itself; `sam local` counts it in the call
API_PORT = 3000
# API keys used by the events of events/, and the key that signed their tokens.
_CLIENTS_OF_EVENTS = {"l3pk9vw2d1": "web", "q8zt4nf7s0": "partner"}
_MODES_OF_EVENTS = {
    "web": {"public": True, "quote": "observe", "duplicate_charge": "refuse"},
    "partner": {"public": False, "quote": "observe", "duplicate_charge": "allow"},
}
_KEYS_OF_EVENTS = {"current": "k1", "keys": {"k1": "A" * 43 + "="}}
_NOT_HERE = "not embedded and not disruptive"
_ON_A_DATABASE = ["tests/database", "tests/contract/test_unit_of_work.py"]


def database_url(address: str) -> str:
    """Return the URL of the application's schema. No TLS: the connection stays on this machine."""
    login = "reservations:reservations"
    return f"mysql+pymysql://{login}@{address}/reservations?charset=utf8mb4&ssl_disabled=true"


def missing() -> StackError | None:
    """Return the error of a machine that cannot run containers, else `None`."""
    if not shutil.which("docker"):
        return StackError("There is no docker command.", remedy="Install Docker with Compose.")
    if not _succeeds("docker", "compose", "version"):
        return StackError(
            "docker has no compose plugin.", remedy="Install docker-compose-plugin (Compose 2)."
        )
    if not _succeeds("docker", "info"):
        return StackError(
            "No Docker engine answers.", remedy="Start it, or point DOCKER_HOST at one that runs."
        )
    return None


def _succeeds(*command: str) -> bool:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (FileNotFoundError, subprocess.TimeoutExpired):  # no docker, or an engine that hangs
        return False
    # Not the exit code alone: `docker info` has ended with 0 without an engine.
    return result.returncode == 0 and "Cannot connect" not in result.stdout + result.stderr


def up() -> None:
    """Start the servers and deploy the template to a fresh LocalStack."""
    known, origin = stack_secrets(), deployment.web_origin()
    # LocalStack cannot update a stack and keeps no data, so a new one is equal and faster.
    _compose("rm", "--stop", "--force", "localstack")
    _start_servers("mysql", "localstack", *SIMULATORS_ON_THIS_MACHINE)
    _build()
    with step("Template deployed, database migrated"):
        api_url = deployment.deploy(
            AWS_ON_THIS_MACHINE,
            _settings(known),
            known,
            template=_deployable(),
            address=AWS_EVERYWHERE,
            origin=origin,
        )
    deployment.put_parameters(
        AWS_ON_THIS_MACHINE,
        _settings(known, database_address=DATABASE_ON_THIS_MACHINE),
        stage=_STAGE_HERE,
    )
    description = deployment.describe(
        known,
        api_url=api_url,
        aws_url=AWS_ON_THIS_MACHINE,
        stage=_STAGE_HERE,
        database_url=database_url(DATABASE_ON_THIS_MACHINE),
        simulator_urls=SIMULATORS_ON_THIS_MACHINE,
        origin=origin,
    )
    deployment.connect_webhooks(description)
    write_json(STACK_FILE, description)
    note(f"  API       {api_url}\n  API key   {known.web_api_key}")


def _start_servers(*names: str) -> None:
    with step(f"Containers: {', '.join(names)}"):
        _compose("up", "--build", "--detach", "--wait", f"--wait-timeout={_START_SECONDS}", *names)


def _compose(*arguments: str) -> None:
    environment = os.environ | {"QUOTE_SIGNING_KEY": stack_secrets().quote_signing_key}
    result = subprocess.run(["docker", "compose", *arguments], cwd=ROOT, env=environment)
    if result.returncode:
        raise StackError(
            f"docker compose {' '.join(arguments)} failed.",
            remedy="See `docker compose logs`.",
        )


def _build() -> None:
    """Build for Lambda's own image, in which functions run here."""
    with step("Functions and layers built"):
        deployment.build_for_lambda(_BUILD)
        sources = deployment.sources_fingerprint()
        stamp = _CODE / "built-from"
        if not stamp.exists() or stamp.read_text() != sources:
            shutil.rmtree(_CODE, ignore_errors=True)
            _fold_layers()
            stamp.write_text(sources)


def _fold_layers() -> None:
    """Copy functions and layers into one folder per set of layers.

    LocalStack's free edition creates layers but never mounts them under /opt. `sam local` builds an image of
    them at every call.
    """
    template = deployment.built_template(_BUILD)
    for name in _functions(template):
        layers = _layers(template, name)
        folder = _CODE / "-".join(layers)
        if not folder.exists():
            for layer in layers:
                source = _BUILD / layer / "python"
                shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=_link)
        shutil.copytree(_BUILD / name, folder / name)


def _link(source: str, target: str) -> None:
    """Link instead of copying some hundred megabytes."""
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def _settings(
    known: Secrets, *, database_address: str = DATABASE_AMONG_CONTAINERS
) -> dict[str, Parameter]:
    settings = deployment.parameters(
        known,
        database_url=database_url(database_address),
        payments_url=PROVIDERS_AMONG_CONTAINERS["payments"],
        supplier_url=PROVIDERS_AMONG_CONTAINERS["supplier"],
    )
    # This LocalStack handles one message of a queue at a time, so slow calls delay charges.
    saga = {"profile": "short", "policy": {"hold": 120, "hold_limit": 100}}
    return {**settings, "saga-policy": Parameter(json.dumps(saga))}


def _built() -> dict[str, Any]:
    """Return the built template with the layers in each function's code and LocalStack as AWS."""
    template, original = deployment.built_template(_BUILD), deployment.built_template(_BUILD)
    template["Parameters"]["PythonRuntime"]["Default"] = deployment.runtime()
    shared = template["Globals"]["Function"]
    shared["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = AWS_EVERYWHERE
    del shared["Layers"]
    for name, function in _functions(template).items():
        function.pop("Layers", None)
        function["CodeUri"] = str(_CODE / "-".join(_layers(original, name)))
        function["Handler"] = f"{name}/{shared['Handler']}"
    return template


def _layers(template: dict[str, Any], function: str) -> list[str]:
    own = _functions(template)[function].get("Layers", [])
    return [layer["Ref"] for layer in (*template["Globals"]["Function"]["Layers"], *own)]


def _functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _deployable() -> dict[str, Any]:
    """Return the template with its code in folders, which LocalStack mounts by the bucket `hot-reload`."""
    template = _built()
    for properties in _functions(template).values():
        properties["CodeUri"] = {"Bucket": "hot-reload", "Key": properties["CodeUri"]}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            folder = _BUILD / resource["Properties"]["ContentUri"]
            resource["Properties"]["ContentUri"] = {"Bucket": "hot-reload", "Key": str(folder)}
    return template


def config() -> int:
    """Validate docker-compose.yml with Compose, without an engine. Fetch Compose if it is missing."""
    compose = ["docker", "compose"]
    if not _succeeds(*compose, "version"):
        prefix = STATE / "compose"
        private_packages.unpack("compose", prefix)
        compose = private_packages.command(prefix, _COMPOSE)
    return subprocess.run([*compose, "config", "--quiet"], cwd=ROOT).returncode


def test(arguments: list[str]) -> int:
    """Run the end-to-end suite on the stack of `up`, and the database suite on both servers."""
    described = _environment_of_the_stack()
    _start_servers(*ADMINISTRATORS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", _NOT_HERE]
    servers = {f"TEST_{engine.upper()}_URL": url for engine, url in ADMINISTRATORS.items()}
    command += ["tests/e2e", *_ON_A_DATABASE, *arguments]
    return subprocess.run(command, cwd=ROOT, env=described | servers).returncode


def ops(arguments: list[str]) -> int:
    """Run an operator command on the stack of `up`."""
    command = [sys.executable, "-m", "local.ops", *arguments]
    return subprocess.run(command, cwd=ROOT, env=_environment_of_the_stack()).returncode


def _environment_of_the_stack() -> dict[str, str]:
    if not STACK_FILE.exists():
        raise StackError("Nothing is deployed to the containers.", remedy="make compose-up")
    return {**os.environ, "STACK_FILE": str(STACK_FILE)}


def logs() -> None:
    """Show the last log lines of each container."""
    _compose("logs", "--no-color", "--tail=200")


def down() -> None:
    """Remove the containers and their data."""
    STACK_FILE.unlink(missing_ok=True)
    _compose("--profile=mariadb", "down", "--volumes", "--remove-orphans")


def prepare() -> None:
    """Start the servers with the settings, queues and bucket that functions need in `sam local`."""
    _start_servers("mysql", "localstack", *SIMULATORS_ON_THIS_MACHINE)
    _build()
    settings = {
        **_settings(stack_secrets()),
        "access-token-keys": Parameter(json.dumps(_KEYS_OF_EVENTS), secret=True),
        "api-clients": Parameter(json.dumps(_CLIENTS_OF_EVENTS)),
        "client-modes": Parameter(json.dumps(_MODES_OF_EVENTS)),
        "mails-per-hour": Parameter(json.dumps({"address": 3, "client": 500})),
        "public-base-url": Parameter(f"http://127.0.0.1:{API_PORT}"),
    }
    deployment.put_parameters(AWS_ON_THIS_MACHINE, settings, stage=_SAM_STAGE)
    deployment.verify_sender(AWS_ON_THIS_MACHINE)
    _write_sam_template({"SETTINGS_PATH": f"/reservations/{_SAM_STAGE}", **_queues(), **_bucket()})


def _queues() -> dict[str, str]:
    sqs = deployment.client("sqs", AWS_ON_THIS_MACHINE)
    steps = ("payment", "payment-look", "supplier", "supplier-look", "voucher", "notification")
    return {
        f"{name.upper().replace('-', '_')}_QUEUE_URL": sqs.create_queue(QueueName=f"sam-{name}")[
            "QueueUrl"
        ]
        for name in (*steps, "dead-letter")
    }


def _bucket() -> dict[str, str]:
    s3, bucket = deployment.client("s3", AWS_ON_THIS_MACHINE), "sam-documents"
    if bucket not in {known["Name"] for known in s3.list_buckets()["Buckets"]}:
        where = {"LocationConstraint": deployment.REGION}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    return {"DOCUMENT_BUCKET": bucket}


def _write_sam_template(values: dict[str, str]) -> None:
    """Write the template with real queue URLs: SAM resolves `!Ref Queue` to the text Queue.

    `--env-vars` is no alternative: it cannot add AWS_ENDPOINT_URL, which the template lacks.
    """
    template = _built()
    template["Parameters"]["AllowedOrigin"]["Default"] = deployment.web_origin()
    shared = template["Globals"]["Function"]
    for place in [shared, *_functions(template).values()]:
        variables = place.get("Environment", {}).get("Variables", {})
        variables |= {name: values[name] for name in variables.keys() & values.keys()}
    for function in _functions(template).values():
        function["Timeout"] = function.get("Timeout", shared["Timeout"]) + _COLD_START_SECONDS
        function["Events"] = {
            name: event
            for name, event in function.get("Events", {}).items()
            if not _hides_others(event["Properties"])
        }
    _SAM_TEMPLATE.write_text(yaml.safe_dump(template, sort_keys=False, allow_unicode=True))


def _hides_others(route: dict[str, Any]) -> bool:
    """Return whether this ANY would hide the other methods of its path in `sam local start-api`."""
    return route.get("Method") == "ANY" and route["Path"] != "/{proxy+}"


def sam_local(command: str, *arguments: str) -> list[str]:
    """Return a `sam local` command on the network of the containers."""
    return [
        str(deployment.SAM),
        "local",
        command,
        *arguments,
        f"--template={_SAM_TEMPLATE}",
        f"--docker-network={NETWORK}",
    ]


def sam_environment() -> dict[str, str]:
    """Return the environment of `sam local`, with LocalStack as AWS."""
    return {
        **deployment.sam_environment(),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": deployment.REGION,
        # SAM asks STS for its identity. AWS_ENDPOINT_URL would override the template's value in the containers too.
        "AWS_ENDPOINT_URL_STS": AWS_ON_THIS_MACHINE,
    }


def invoke(event: str) -> int:
    """Run one function on one event of events/."""
    events.known(event)
    events.write()
    prepare()
    command = sam_local(
        "invoke", events.function_of(event), f"--event={events.WRITTEN / event}.json"
    )
    return subprocess.run(command, cwd=ROOT, env=sam_environment()).returncode


def start_api() -> int:
    """Serve the HTTP functions until Ctrl-C."""
    prepare()
    command = sam_local("start-api", f"--port={API_PORT}", "--warm-containers=LAZY")
    return subprocess.run(command, cwd=ROOT, env=sam_environment()).returncode


def functions(arguments: list[str]) -> int:
    """Run every function on its events and check the answers."""
    required = "--required" in arguments
    if (lack := missing()) and not required:
        note("=" * 72)
        note(f"SKIPPED, nothing was tested: {lack}\n  {lack.remedy}", style="bold yellow")
        note("=" * 72)
        return 0
    rest = [argument for argument in arguments if argument != "--required"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/containers"]
    return subprocess.run([*command, *rest], cwd=ROOT).returncode


def main(arguments: list[str]) -> int:
    """Run one command; print a failure with its remedy."""
    leave_the_cloud_and_proxies_out()
    command, *rest = arguments
    try:
        if command == "functions":
            return functions(rest)
        if command == "config":
            return config()
        if command == "ops":
            return ops(rest)
        lack = missing()
        if lack and command == "invoke":
            from local import invoking  # it needs the code of the layer

            return invoking.invoke(*rest)
        if lack:
            raise lack
        if command == "test":
            return test(rest)
        if command == "invoke":
            return invoke(*rest)
        result = {"up": up, "logs": logs, "down": down, "start-api": start_api}[command]()
    except StackError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    if command == "up":
        done("Everything runs in containers: make compose-test, make compose-down")
    return result or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
