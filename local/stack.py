"""The embedded stack: `python -m local.stack up|run|test|status|down|clean`.

Missing or dead parts are started, running ones are reused. LocalStack keeps nothing over a restart, so
it is reused only if it is the process that was deployed to, with the same sources and settings.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NoReturn, get_args

if __name__ == "__main__":
    # Until `main` takes over: packages take a second to load, and Ctrl-C then needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from local import database, deployment, journey, processes
from local.credentials import Secrets, stack_secrets
from local.down import down
from local.paths import (
    LOGS,
    ROOT,
    STACK_FILE,
    STAGE,
    STATE,
    VENVS,
    read_json,
    write_json,
)
from local.processes import Service, StackError
from local.progress import complain, done, note, step

_LOCALSTACK_STATE = STATE / "localstack"
_LEDGERS = STATE / "simulators"
_CLEANING_SECONDS = 30
# A listing shows a late charge after that: past two looks, and well within the minute of a hold in tests.
_LATE = 25
_SERVERS = ("payments", "supplier", "offers", "web")  # the simulators, and the page

# Two more processes than cores, as many tests wait. A file shares what is expensive to make, and the first are long.
_STACKLESS = (
    "--deselect=tests/browser",
    "--deselect=tests/e2e",
    f"--numprocesses={(os.cpu_count() or 1) + 2}",
    "--dist=loadfile",
    "--no-loadscope-reorder",
)
# Trips wait for the clock, so four modules at once cost two cores little more than one.
_TRIPS = (
    "tests/browser",
    "tests/e2e",
    "--numprocesses=4",
    "--dist=loadfile",
    "--no-loadscope-reorder",
    "--witness",
)
_TOGETHER = "not disruptive and not alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blueprint:
    """The stack as it should be, before checking which parts run."""

    engine: database.Engine
    secrets: Secrets
    urls: dict[str, str]
    database_url: str
    settings: dict[str, deployment.Parameter]
    origin: str
    localstack: Service
    servers: list[Service]

    @property
    def fingerprint(self) -> dict[str, str]:
        return {
            "settings": deployment.settings_fingerprint(self.settings),
            "origin": self.origin,
            "sources": deployment.sources_fingerprint(),
            "servers": deployment.servers_fingerprint(),
        }


def _blueprint() -> _Blueprint:
    secrets, engine = stack_secrets(), database.chosen_engine()
    ports = {name: processes.port_of(name) for name in (engine, "localstack", *_SERVERS)}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    database_url = database.application_url(ports[engine])
    page_of_mails = {"manage-url": deployment.Parameter(f"{urls['web']}/")}
    return _Blueprint(
        engine=engine,
        secrets=secrets,
        urls=urls,
        database_url=database_url,
        settings=deployment.parameters(
            secrets,
            database_url=database_url,
            payments_url=urls["payments"],
            supplier_url=urls["supplier"],
        )
        | page_of_mails,
        origin=deployment.web_origin(),
        localstack=_localstack(ports["localstack"]),
        servers=[
            simulator("payments", ports["payments"], secrets.payments_api_key),
            simulator("supplier", ports["supplier"], secrets.supplier_api_key),
            _offers(ports["offers"], secrets.quote_signing_key),
            _page(ports["web"]),
        ],
    )


def _localstack(port: int) -> Service:
    launcher = [VENVS / "localstack" / "bin" / "python", "-m", "local.localstack.launcher"]
    python = VENVS / "lambda" / "bin" / "python"
    return Service(
        name="localstack",
        command=[str(part) for part in (*launcher, _LOCALSTACK_STATE, port, python)],
        healthy=lambda: answers(port, "/_localstack/health"),
        # It talks to itself only, under several names.
        environment={"PYTHONPATH": str(ROOT), "NO_PROXY": "*", "no_proxy": "*"},
        start_seconds=180,  # 3 s on an idle machine; a saturated one must not fail for that
    )


def simulator(
    provider: str, port: int, api_key: str, *, ledgers: Path = _LEDGERS, prefix: str = ""
) -> Service:
    """Return the service that simulates a provider; a second one beside it has a prefix."""
    ledger = ledgers / f"{provider}.sqlite"
    command = [
        sys.executable,
        "-m",
        "local.simulators",
        provider,
        "--port",
        port,
        "--late-seconds",
        _LATE,
    ]
    return Service(
        name=f"{prefix}{provider}",
        command=[str(part) for part in (*command, "--state", ledger)],
        healthy=lambda: answers(port, "/_sim/health"),
        environment={"PYTHONPATH": str(ROOT), "SIMULATOR_API_KEY": api_key},
    )


def _offers(port: int, signing_key: str) -> Service:
    command = [sys.executable, "-m", "local.simulators.offers", "--port", str(port)]
    return Service(
        name="offers",
        command=command,
        healthy=lambda: answers(port, "/_sim/health"),
        environment={"PYTHONPATH": str(ROOT), "QUOTE_SIGNING_KEY": signing_key},
    )


def _page(port: int) -> Service:
    return Service(
        name="web",
        command=[sys.executable, "-m", "local.web", "--port", str(port)],
        healthy=lambda: answers(port, "/"),
        environment={"PYTHONPATH": str(ROOT)},
    )


def answers(port: int, path: str) -> bool:
    """Ask without httpx, which would read all trusted roots at every attempt."""
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False


def up() -> dict[str, Any]:
    """Bring up what of the stack is down, and return its description.

    Raises:
        StackError: something could not be started or deployed; what this run started is stopped.
    """
    with (
        processes.exclusive("stack", when_waiting=_say_waiting),
        _all_or_nothing(),
    ):
        blueprint = _blueprint()
        if blueprint.engine == "mariadb" and (STATE / "mysql").exists():
            note("MySQL's reservations are not in MariaDB: `make up` without DB_ENGINE has them.")
        api_url = _url_of_the_living(blueprint)
        if api_url is None:
            STACK_FILE.unlink(missing_ok=True)
            api_url = _raise_anew(blueprint)
        description = _description(blueprint, api_url)
        deployment.connect_webhooks(description)
        write_json(STACK_FILE, description)
    return description


def _say_waiting() -> None:
    note("… another run is working on the stack; waiting for it")


@contextlib.contextmanager
def _all_or_nothing() -> Iterator[None]:
    """Stop what was started within, if it fails or is interrupted."""
    before = {name: processes.identity(name) for name in processes.running()}
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an impatient second Ctrl-C would leave half
        STACK_FILE.unlink(missing_ok=True)
        for name in processes.running():
            if processes.identity(name) != before.get(name):
                processes.stop(name)
        raise


def _url_of_the_living(blueprint: _Blueprint) -> str | None:
    """Return the API's URL if everything runs and is what it should be."""
    deployed = read_json(deployment.DEPLOYED)
    services = [blueprint.localstack, *blueprint.servers]
    if (
        _is_current(blueprint, deployed)
        and processes.identity(blueprint.engine)
        and all(processes.is_healthy(service) for service in services)
    ):
        server = database.ensure(blueprint.engine)  # it runs: a query succeeded
        done(
            f"Everything runs already: {server.engine} {server.version}, LocalStack, simulators, page"
        )
        return str(deployed["api_url"])
    return None


def _is_current(blueprint: _Blueprint, deployed: dict[str, Any]) -> bool:
    """Return whether this LocalStack process has these sources and settings, and still its functions."""
    identity = processes.identity("localstack")
    wanted = {**blueprint.fingerprint, "localstack": identity, "api_url": deployed.get("api_url")}
    built = deployment.is_built(blueprint.fingerprint["sources"])
    return identity is not None and deployed == wanted and built


def _raise_anew(blueprint: _Blueprint) -> str:
    """Start what is dead, everything at once as far as it does not depend on the rest."""
    deployed = read_json(deployment.DEPLOYED)
    keep = _is_current(blueprint, deployed) and processes.is_healthy(blueprint.localstack)
    if deployed.get("servers") != blueprint.fingerprint["servers"]:
        for service in blueprint.servers:
            processes.stop(service.name)  # its ledger is on disk
    if not keep:
        deployment.DEPLOYED.unlink(missing_ok=True)
        processes.stop("localstack", seconds=1)  # it has nothing to save
        shutil.rmtree(_LOCALSTACK_STATE, ignore_errors=True)
        processes.start(blueprint.localstack)
    dead = [service for service in blueprint.servers if not processes.is_healthy(service)]
    _LEDGERS.mkdir(parents=True, exist_ok=True)
    for service in dead:
        processes.start(service)
    with _meanwhile("local.database", "up", blueprint.engine):
        if not keep:
            with step("Functions and layers built"):
                deployment.build(blueprint.fingerprint["sources"])
    with step("Database") as current:
        server = database.ensure(blueprint.engine)
        current.text = f"{server.engine} {server.version} on {server.host}:{server.port}"
    with step("Simulators of payments, supplier and offers, and the page"):
        for service in dead:
            processes.wait_until_healthy(service)
    with step(f"LocalStack on {blueprint.urls['localstack']}"):
        if keep:
            return str(deployed["api_url"])
        processes.wait_until_healthy(blueprint.localstack)
    with step("Template deployed, database migrated"):
        endpoint = blueprint.urls["localstack"]
        api_url = deployment.deploy(
            endpoint,
            blueprint.settings,
            blueprint.secrets,
            template=deployment.hot_template(),
            address=endpoint,
            origin=blueprint.origin,
        )
    write_json(
        deployment.DEPLOYED,
        {
            **blueprint.fingerprint,
            "localstack": processes.identity("localstack"),
            "api_url": api_url,
        },
    )
    return api_url


@contextlib.contextmanager
def _meanwhile(*command: str) -> Iterator[None]:
    """Run one of our modules in the background. Its work is found afterwards, or done again where it failed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{'-'.join(command)}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()


def _description(blueprint: _Blueprint, api_url: str) -> dict[str, Any]:
    """Return what tools and tests need to know of a healthy stack."""
    names = {"database": blueprint.engine, **{name: name for name in ("localstack", *_SERVERS)}}
    description = deployment.describe(
        blueprint.secrets,
        api_url=api_url,
        aws_url=blueprint.urls["localstack"],
        stage=STAGE,
        database_url=blueprint.database_url,
        simulator_urls=blueprint.urls,
        origin=blueprint.origin,
    )
    pids = {role: processes.pid_of(name) for role, name in names.items()}
    return description | {"web_url": f"{blueprint.urls['web']}/", "pids": pids}


def run() -> None:
    """Bring the stack up and carry one reservation to CONFIRMADA."""
    journey.travel(up())


def test(arguments: list[str]) -> int:
    """Run the whole suite, or what the arguments choose, on the stack; one that was down is down again afterwards."""
    was_up = STACK_FILE.exists()
    try:
        if arguments:
            up()
            with _expiry_in_a_minute():
                return _pytest(*arguments)
        with contextlib.ExitStack() as background:
            background.enter_context(_meanwhile("local.stack", "up"))
            for engine in get_args(database.Engine):
                background.enter_context(_meanwhile("local.database", "up", engine))
            stackless = _pytest(*_STACKLESS)
        up()
        with _expiry_in_a_minute():
            together = _pytest(*_TRIPS, "-m", _TOGETHER)
        return max(stackless, together, _pytest("tests/e2e", "-m", f"not ({_TOGETHER})"))
    finally:
        if not was_up:
            down()


@contextlib.contextmanager
def _expiry_in_a_minute() -> Iterator[None]:
    """Shorten the hold limit of the stack for tests, and restore it even after an interruption."""
    try:
        _change_saga_policy(deployment.SAGA_POLICY_OF_TESTS)
        yield
    finally:
        _change_saga_policy(deployment.SAGA_POLICY)


def _change_saga_policy(policy: str) -> None:
    with processes.exclusive("stack", when_waiting=_say_waiting):  # a test may be restarting it
        if processes.identity("localstack"):  # one that is down forgets every change
            endpoint = f"http://127.0.0.1:{processes.port_of('localstack')}"
            deployment.change_saga_policy(endpoint, policy)


def _pytest(*arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLEANING_SECONDS)  # Ctrl-C reached it too: it restores the functions
            raise
        finally:
            process.kill()


def status() -> int:
    """Print the running parts. The exit code is 0 only if all run."""
    pids = {
        name: processes.pid_of(name) for name in (database.chosen_engine(), "localstack", *_SERVERS)
    }
    for name, pid in pids.items():
        note(f"{name:<12} {f'pid {pid}' if pid else 'down'}")
    api_url = read_json(STACK_FILE).get("api_url")
    if api_url is None:
        note("The stack is not up: make up")
        return 1
    note(f"{'api':<12} {api_url}")
    note(f"{'page':<12} {read_json(STACK_FILE)['web_url']}")
    if not all(pids.values()):
        note("Not all of it runs: make up")
        return 1
    return 0


def clean() -> None:
    """Stop everything and delete the data; the installed packages and the ports stay."""
    down()
    kept = {
        *("venvs", "node", "bootstrap", "bootstrap.lock", "mysql-server", "mariadb-server"),
        *("compose", "chromium", "ports.json"),
    }
    for place in STATE.iterdir():
        if place.name not in kept:
            shutil.rmtree(place) if place.is_dir() else place.unlink()
    done("data deleted")


def leave_the_cloud_and_proxies_out() -> None:
    """Remove the developer's own AWS account and proxy from the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    direct = [
        os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "",
        "localhost",
        "127.0.0.1",
    ]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(filter(None, direct))


def _interrupted(number: int, frame: object) -> NoReturn:
    with contextlib.suppress(OSError):
        # At once, as LocalStack may take a while over what it is at; and not through a buffer, which may be in use.
        os.write(sys.stdout.fileno(), "\n… stopping\n".encode())
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Carry out one command. A failure is printed with its remedy."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    leave_the_cloud_and_proxies_out()
    command, *rest = arguments or ["up"]
    commands = {"up": up, "run": run, "status": status, "down": down, "clean": clean}
    try:
        if command == "test":
            return test(rest)
        result = commands[command]()
    except StackError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        note("\nInterrupted; what this run had started is stopped, what ran before runs on.")
        return 130
    except Exception as error:
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / "error.log").write_text(traceback.format_exc())
        happened = f"Something unexpected happened: {type(error).__name__}: {error}"
        complain(StackError(happened, remedy=f"See {LOGS / 'error.log'}; `make run` starts again."))
        return 1
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
