"""Choices of the local stack: its secrets, settings, database engine and web origin."""

import base64
import json
import stat
from pathlib import Path

import pytest

from local import credentials, database, deployment, ops, paths, processes
from local.credentials import Secrets, stack_secrets
from local.processes import StackError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(processes, "STATE", tmp_path)
    monkeypatch.setattr(credentials, "_FILE", tmp_path / "secrets.json")
    return tmp_path


def settings_of(secrets: Secrets) -> dict[str, deployment.Parameter]:
    return deployment.parameters(
        secrets, database_url="mysql://", payments_url="http://p", supplier_url="http://s"
    )


def test_secrets_are_made_once_so_that_old_tokens_stay_valid(state: Path) -> None:
    first = stack_secrets()

    assert stack_secrets() == first
    assert stat.S_IMODE((state / "secrets.json").stat().st_mode) == 0o600
    assert len(base64.b64decode(first.access_token_key)) == 32


def test_a_secret_that_an_older_stack_did_not_have_is_added_and_the_others_kept(
    state: Path,
) -> None:
    first = stack_secrets()
    kept = json.loads((state / "secrets.json").read_text())
    del kept["partner_api_key"]
    (state / "secrets.json").write_text(json.dumps(kept))

    second = stack_secrets()

    assert second.web_api_key == first.web_api_key
    assert second.partner_api_key not in ("", first.partner_api_key)


def test_secrets_that_cannot_be_read_are_not_replaced_in_silence(state: Path) -> None:
    stack_secrets()
    (state / "secrets.json").write_text('{"x":')

    with pytest.raises(StackError, match=r"secrets\.json cannot be read") as caught:
        stack_secrets()

    assert "make clean" in caught.value.remedy
    assert (state / "secrets.json").read_text() == '{"x":'


def test_every_secret_is_stored_as_one() -> None:
    secrets = stack_secrets()
    plain = [parameter.value for parameter in settings_of(secrets).values() if not parameter.secret]

    for name in Secrets.__dataclass_fields__:
        assert not any(getattr(secrets, name) in value for value in plain), name


def test_changed_settings_need_a_new_localstack() -> None:
    secrets = stack_secrets()
    settings = settings_of(secrets)
    moved = settings | {"payments-url": deployment.Parameter("http://elsewhere")}

    fingerprint = deployment.settings_fingerprint

    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))
    assert fingerprint(settings) != fingerprint(moved)


def test_a_build_for_another_python_is_made_again(tmp_path: Path) -> None:
    sources = deployment.sources_fingerprint()
    (tmp_path / deployment.STAMP).write_text(sources.replace(deployment.runtime(), "python3.10"))

    assert not deployment.is_built(sources, tmp_path)


def test_an_unknown_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_ENGINE", "oracle")

    with pytest.raises(StackError, match="oracle"):
        database.chosen_engine()


@pytest.mark.parametrize(
    ("value", "origin"),
    [(None, "*"), ("", "*"), ("*", "*"), ("http://127.0.0.1:5173", "http://127.0.0.1:5173")],
)
def test_pages_of_any_origin_may_call_the_local_api_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None, origin: str
) -> None:
    monkeypatch.delenv("WEB_ORIGIN", raising=False)
    if value is not None:
        monkeypatch.setenv("WEB_ORIGIN", value)

    assert deployment.web_origin() == origin


@pytest.mark.parametrize("value", ["http://127.0.0.1:5173/", "127.0.0.1:5173", "http://a b"])
def test_a_web_origin_that_is_no_origin_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("WEB_ORIGIN", value)

    with pytest.raises(StackError, match="WEB_ORIGIN") as caught:
        deployment.web_origin()

    assert "http://127.0.0.1:5173" in caught.value.remedy


def test_operators_work_on_the_stack_of_this_machine_unless_they_name_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = {
        "aws_endpoint_url": "http://127.0.0.1:4566",
        "region": deployment.REGION,
        "stage": "here",
    }
    for name in ("OPS_STACK", "OPS_STAGE"):
        monkeypatch.delenv(name, raising=False)
    assert ops.environment(stack)["OPS_STACK"] == paths.STACK
    assert ops.environment(stack)["OPS_STAGE"] == "here"

    monkeypatch.setenv("OPS_STACK", "mine")
    assert ops.environment(stack)["OPS_STACK"] == "mine"
