"""Test the template on a second emulator, ministack: `python -m local.second [PYTEST ARGUMENTS]` (ADR-032).

It has a schema, simulators and a state of its own, beside a stack of `make up`. Nothing of it stays.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from local import database, deployment, processes
from local.credentials import stack_secrets
from local.paths import ROOT, STAGE, STATE, VENVS, write_json
from local.processes import Service, StackError
from local.progress import complain, note, step
from local.stack import answers, leave_the_cloud_and_proxies_out, simulator

_STATE = STATE / "ministack"
_STACK_FILE = _STATE / "stack.json"
_API_ID = "second"
_SCHEMA = "second_stack"
_PREFIX = "second-"
_NAME = "ministack"
_PORTS = (_NAME, f"{_PREFIX}payments", f"{_PREFIX}supplier")
# Resources that the emulator cannot make, each with its defect.
_LEFT_OUT = {
    "AWS::CloudWatch::Alarm",  # it refuses metric math
    "AWS::CloudWatch::CompositeAlarm",  # of such alarms
    "AWS::S3::BucketPolicy",  # OnlyOverTls, rightly, refuses its plain HTTP
}


def _ministack(port: int) -> Service:
    python = VENVS / _NAME / "bin" / "python"
    return Service(
        name=_NAME,
        command=[str(python), "-m", "local.ministack.launcher", str(_STATE), str(port)],
        healthy=lambda: answers(port, "/_ministack/health"),
        environment={"PYTHONPATH": str(ROOT), "NO_PROXY": "*", "no_proxy": "*"},
        start_seconds=180,
    )


@contextlib.contextmanager
def _running(services: list[Service]) -> Iterator[None]:
    try:
        for service in services:
            processes.start(service)
        for service in services:
            processes.wait_until_healthy(service)
        yield
    finally:
        for service in services:
            # At once: after a SIGTERM ministack's functions at work outlive it.
            processes.stop(service.name, seconds=0)


@contextlib.contextmanager
def _empty_schema(server: database.DatabaseServer) -> Iterator[str]:
    """Make a schema without tables, yield the functions' URL of it, and drop it."""
    application = make_url(database.application_url(server.port)).set(database=_SCHEMA)
    root = application.set(username=server.user, password=server.password, database="mysql")
    engine = create_engine(root, poolclass=NullPool)
    drop = text(f"DROP DATABASE IF EXISTS {_SCHEMA}")
    with engine.begin() as connection:
        connection.execute(drop)
        collation = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        connection.execute(text(f"CREATE DATABASE {_SCHEMA} {collation}"))
        account = f"'{application.username}'@'127.0.0.1'"
        connection.execute(text(f"GRANT ALL ON {_SCHEMA}.* TO {account}"))
    try:
        yield application.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(drop)


def _template(endpoint: str) -> dict[str, Any]:
    """Return the built template with its code uploaded as zip files, as `sam deploy` does."""
    template = deployment.built_template()
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] not in _LEFT_OUT
    }
    template["Resources"]["Api"]["Properties"]["Tags"] = {"ms-custom-id": _API_ID}
    s3, bucket = deployment.client("s3", endpoint), "artifacts"
    region = {"LocationConstraint": deployment.REGION}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=region)
    for properties, name in deployment.code_in(template):
        folder: str = properties[name]
        s3.put_object(Bucket=bucket, Key=folder, Body=_zipped(deployment.BUILD / folder))
        properties[name] = {"Bucket": bucket, "Key": folder}
    return template


def _zipped(folder: Path) -> bytes:
    """Return a folder as a zip file, without compression: it only moves within this machine."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder))
    return packed.getvalue()


@contextlib.contextmanager
def _stack() -> Iterator[dict[str, Any]]:
    """Deploy the template to a fresh emulator, without a migration by hand. Yield its description."""
    secrets = stack_secrets()
    ports = {name: processes.port_of(name) for name in _PORTS}
    urls = {name.removeprefix(_PREFIX): f"http://127.0.0.1:{port}" for name, port in ports.items()}
    endpoint = urls[_NAME]
    services = [
        _ministack(ports[_NAME]),
        simulator(
            "payments",
            ports["second-payments"],
            secrets.payments_api_key,
            ledgers=_STATE,
            prefix=_PREFIX,
        ),
        simulator(
            "supplier",
            ports["second-supplier"],
            secrets.supplier_api_key,
            ledgers=_STATE,
            prefix=_PREFIX,
        ),
    ]
    with contextlib.ExitStack() as parts:
        with step("Functions and layers built"):
            deployment.build(deployment.sources_fingerprint())
        with step("Database"):
            server = database.ensure(database.chosen_engine())
            database_url = parts.enter_context(_empty_schema(server))
        with step(f"ministack on {endpoint}"):
            parts.enter_context(_running(services))
        api_url = f"{endpoint}/_aws/execute-api/{_API_ID}/live"
        settings = deployment.parameters(
            secrets,
            database_url=database_url,
            payments_url=urls["payments"],
            supplier_url=urls["supplier"],
        ) | {
            "manage-url": deployment.Parameter(f"{endpoint}/"),
            "public-base-url": deployment.Parameter(api_url),
        }
        with step("Template deployed, database migrated by the stack"):
            deployment.put_parameters(endpoint, settings)
            deployment.verify_sender(endpoint)
            deployment.create_stack(endpoint, secrets, _template(endpoint), "*", Size="small")
            deployment.publish_what_waits(endpoint, deployment.resources_of(endpoint))
        yield deployment.describe(
            secrets,
            api_url=api_url,
            aws_url=endpoint,
            stage=STAGE,
            database_url=database_url,
            simulator_urls=urls | {"offers": ""},
            origin="*",
        )


def test(arguments: list[str]) -> int:
    """Run the tests of the second stack on a fresh one. Stop and delete it afterwards."""
    engine = database.chosen_engine()
    with processes.exclusive("second"):
        was_up = processes.identity(engine)
        shutil.rmtree(_STATE, ignore_errors=True)
        _STATE.mkdir(parents=True)
        try:
            with _stack() as description:
                write_json(_STACK_FILE, description)
                command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
                return subprocess.run(
                    [*command, "--timeout=900", "tests/second", *arguments],
                    cwd=ROOT,
                    env={**os.environ, "STACK_FILE": str(_STACK_FILE)},
                ).returncode
        finally:
            shutil.rmtree(_STATE, ignore_errors=True)
            if not was_up:
                processes.stop(engine)


def main(arguments: list[str]) -> int:
    """Run the tests. A failure to start is printed with its remedy."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    leave_the_cloud_and_proxies_out()
    try:
        return test(arguments)
    except StackError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        note("\nInterrupted; everything is stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
