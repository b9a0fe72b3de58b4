"""`docker-compose.yml`: local ports only, the embedded server settings, and the addresses that our tools use."""

from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from local import containers, database, events
from local.paths import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
# Settings that a container does not need, or that its image sets.
ONLY_WITHOUT_DOCKER = {"bind-address", "skip-name-resolve", "skip-log-bin"}
SMALL_MACHINE = {"innodb-buffer-pool-size", "performance-schema"}

every_service = pytest.mark.parametrize("name", SERVICES)


def published(name: str) -> str:
    [port] = SERVICES[name]["ports"]
    return str(port).rpartition(":")[0]


@every_service
def test_a_port_is_open_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@every_service
def test_a_service_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@every_service
def test_a_third_party_image_has_a_version(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or service["image"].partition(":")[2] not in {"", "latest"}


def test_the_database_has_the_settings_of_the_embedded_stack() -> None:
    def by_name(flags: list[str]) -> dict[str, str]:
        return {
            name: value for name, _, value in (flag.lstrip("-").partition("=") for flag in flags)
        }

    embedded = by_name(database._COMMON_FLAGS)
    wanted = {
        name: value
        for name, value in embedded.items()
        if name not in ONLY_WITHOUT_DOCKER | SMALL_MACHINE
    }
    assert by_name(SERVICES["mysql"]["command"]) == wanted
    assert SERVICES["mariadb"]["command"] == SERVICES["mysql"]["command"]


def test_our_tools_know_every_published_address() -> None:
    assert published("mysql") == containers.DATABASE_ON_THIS_MACHINE
    assert f"http://{published('localstack')}" == containers.AWS_ON_THIS_MACHINE
    for name, address in containers.SIMULATORS_ON_THIS_MACHINE.items():
        assert f"http://{published(name)}" == address
    aliases = SERVICES["localstack"]["networks"]["default"]["aliases"]
    assert make_url(containers.AWS_EVERYWHERE).host in aliases
    network = SERVICES["localstack"]["environment"]["LAMBDA_DOCKER_NETWORK"]
    assert containers.NETWORK == network == f"{COMPOSE['name']}_default"


def test_our_tools_know_the_database_account() -> None:
    url = make_url(containers.database_url(containers.DATABASE_ON_THIS_MACHINE))
    environment = SERVICES["mysql"]["environment"]
    assert (url.username, url.password, url.database) == (
        environment["MYSQL_USER"],
        environment["MYSQL_PASSWORD"],
        environment["MYSQL_DATABASE"],
    )


@pytest.mark.parametrize("engine", containers.ADMINISTRATORS)
def test_our_tools_know_the_administrator_of_each_engine(engine: str) -> None:
    url = make_url(containers.ADMINISTRATORS[engine])
    environment = SERVICES[engine]["environment"]
    assert url.password == environment[f"{engine.upper()}_ROOT_PASSWORD"]
    assert published(engine) == f"{url.host}:{url.port}"


def test_the_function_of_an_event_is_in_the_template() -> None:
    assert events.function_of("process_payment.due") == "ProcessPaymentFunction"
