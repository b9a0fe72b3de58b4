"""Start ministack, the second emulator: `python -m local.ministack.launcher STATE PORT` (ADR-032).

Each patch names the defect of ministack 1.5.33 that it mends. Its names are private, so the version is fixed by hash.
"""

import contextlib
import os
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_VERSION = "1.5.33"
_ANY_METHOD = "x-amazon-apigateway-any-method"


def _configure(state: Path, port: str) -> None:
    os.environ.update(
        {
            "BIND_HOST": "127.0.0.1",  # the default is every interface
            "MINISTACK_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",  # else it opens a port on every interface
            "SFTP_ENABLED": "0",
            "GATEWAY_PORT": port,
            "AUTH": "true",  # IAM: each function has only the rights of its role
            "MINISTACK_REGION": "eu-west-1",
            "TMPDIR": str(state / "tmp"),
        }
    )
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(state / "tmp")


def _replace(owner: Any, name: str, replacement: Any) -> Any:
    """Replace an attribute and return the former one. Fail if there is none to replace."""
    former = getattr(owner, name)
    setattr(owner, name, replacement)
    return former


def _import_gateway_responses(apigateway: ModuleType) -> None:
    """The OpenAPI import drops `x-amazon-apigateway-gateway-responses`: each error has AWS's own body."""

    def import_api(spec: dict[str, Any], base_data: Any = None) -> str:
        api_id: str = former(spec, base_data)
        for kind, response in spec.get("x-amazon-apigateway-gateway-responses", {}).items():
            apigateway._put_gateway_response(api_id, kind, response)
        return api_id

    former = _replace(apigateway, "_import_rest_api", import_api)


def _import_any_method(apigateway: ModuleType) -> None:
    """The OpenAPI import drops `x-amazon-apigateway-any-method`: such a route does not exist."""
    apigateway._OPENAPI_HTTP_METHODS.add(_ANY_METHOD)

    def import_operation(api_id: str, resource_id: str, method: str, *rest: Any) -> None:
        former(api_id, resource_id, "ANY" if method == _ANY_METHOD.upper() else method, *rest)

    former = _replace(apigateway, "_import_operation", import_operation)


def _name_the_api_key(apigateway: ModuleType) -> None:
    """An event lacks `requestContext.identity.apiKeyId`: each call is nobody's."""

    def build_event(*arguments: Any, **options: Any) -> dict[str, Any]:
        event: dict[str, Any] = former(*arguments, **options)
        headers = arguments[6]
        if key := apigateway._resolve_api_key(apigateway._api_key_from_request(headers)):
            event["requestContext"]["identity"]["apiKeyId"] = key["id"]
        return event

    former = _replace(apigateway, "_build_lambda_event_v1", build_event)


def _read_paths_of_method_settings(apigateway: ModuleType) -> None:
    """A method's path is not decoded (`~1` is a slash): each method has the limits of all others."""

    def plain(key: str) -> str:
        return key if key == "*/*" else f"/{key.replace('~1', '/').lstrip('/')}"

    def settings_of(stage: dict[str, Any], path: str, method: str) -> Any:
        settings = {plain(key): entry for key, entry in stage.get("methodSettings", {}).items()}
        return former({**stage, "methodSettings": settings}, path, method)

    former = _replace(apigateway, "_method_throttle_settings", settings_of)


def _name_resources_for_iam(actions: ModuleType, evaluator: ModuleType) -> None:
    """IAM asks for `ssm:GetParameters` and `ses:SendRawEmail` on `*`, and for `sqs:…Batch`, which AWS does not know.

    A right to a named parameter, to a sender or to `sqs:SendMessage` counts for nothing.
    """

    def resources_of(service: str, *request: Any) -> str:
        found: str = former_resources(service, *request)
        _, _, _, body, query, region, account = request
        if found != "*" or service not in ("ssm", "ses"):
            return found
        names = (
            [f"parameter{name}" for name in actions._safe_json_field(body, "Names") or []]
            if service == "ssm"
            else [f"identity/{sender}" for sender in query.get("Source", [])]
        )
        return "\n".join(f"arn:aws:{service}:{region}:{account}:{name}" for name in names) or found

    def enforce(key: str, action: str, service: str, region: str, **options: Any) -> Any:
        asked = action.removesuffix("Batch") if service == "sqs" else action
        denials = (
            former_enforce(key, asked, service, region, **{**options, "resource_arn": resource})
            for resource in options.pop("resource_arn", "*").split("\n")
        )
        return next((denial for denial in denials if denial), None)

    former_resources = _replace(actions, "extract_resource_arn", resources_of)
    former_enforce = _replace(evaluator, "enforce", enforce)


def _unpack_each_zip_once(runtime: ModuleType, folder: Path) -> None:
    """Each environment unpacks its layers anew, 140 MB, and leaves them in /tmp: link to one copy."""

    class SharedZip(zipfile.ZipFile):
        def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
            names = "".join(f"{info.filename} {info.CRC}\n" for info in self.infolist())
            copy = folder / str(abs(hash(names)))
            if not copy.exists():
                draft = Path(tempfile.mkdtemp(dir=folder))
                super().extractall(draft, members, pwd)
                with contextlib.suppress(OSError):  # another environment was faster
                    draft.rename(copy)
            Path(path).rmdir()
            Path(path).symlink_to(copy)

    folder.mkdir(parents=True, exist_ok=True)
    _replace(
        runtime,
        "zipfile",
        SimpleNamespace(
            ZipFile=SharedZip,
            BadZipFile=zipfile.BadZipFile,
            LargeZipFile=zipfile.LargeZipFile,
            LargeFileError=zipfile.LargeZipFile,
        ),
    )


def main() -> None:
    """Run ministack until it is killed. Its modules read the settings when they are imported."""
    state, port = Path(sys.argv[1]).resolve(), sys.argv[2]
    found = version("ministack")
    assert found == _VERSION, f"the patches are for ministack {_VERSION}, not {found}"
    _configure(state, port)
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator, lambda_runtime
    from ministack.services import apigateway_v1

    _import_gateway_responses(apigateway_v1)
    _import_any_method(apigateway_v1)
    _name_the_api_key(apigateway_v1)
    _read_paths_of_method_settings(apigateway_v1)
    _name_resources_for_iam(iam_actions, iam_evaluator)
    _unpack_each_zip_once(lambda_runtime, state / "code")
    sys.argv = ["ministack"]
    app.main()


if __name__ == "__main__":
    main()
