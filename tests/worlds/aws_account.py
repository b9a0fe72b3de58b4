"""An AWS account made of documented answers: botocore's clients, each answer held to the service's model."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.validate import validate_parameters

Answer = dict[str, Any]
Answers = Mapping[
    str, Mapping[str, Any]
]  # by service and operation: an answer, or a function of the request

_SESSION = boto3.Session()  # keeps the services' models


class RefusalError(Exception):
    """An error that the service answers with, by its code."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code, self.message = code, message or code


class AwsAccount:
    """Answers by service and operation; a test changes those that it is about."""

    def __init__(self, answers: Answers) -> None:
        self.answers: dict[str, dict[str, Any]] = {
            service: dict(deepcopy({k: v for k, v in own.items() if not callable(v)}))
            | {k: v for k, v in own.items() if callable(v)}
            for service, own in answers.items()
        }
        self.asked: list[tuple[str, str]] = []

    def client(self, service: str) -> Any:
        client = _SESSION.client(
            service,  # type: ignore[call-overload]  # any service, by name
            region_name="eu-west-1",
            aws_access_key_id="of-the-examples",
            aws_secret_access_key="of-the-examples",
        )
        client.meta.events.register(
            f"before-call.{client.meta.service_model.service_id.hyphenize()}", self._answer(service)
        )
        return client

    def _answer(self, service: str) -> Callable[..., tuple[AWSResponse, Answer]]:
        def answer(model: Any, params: Any, **_: Any) -> tuple[AWSResponse, Answer]:
            self.asked.append((service, model.name))
            answers = self.answers.get(service, {})
            assert model.name in answers, f"{service} was asked for {model.name}"
            found = answers[model.name]
            try:
                given = found(params) if callable(found) else deepcopy(found)
                if isinstance(given, RefusalError):
                    raise given
            except RefusalError as error:
                told = {"Error": {"Code": error.code, "Message": error.message}}
                return AWSResponse("", 400, HTTPHeaders(), None), told | {"ResponseMetadata": {}}
            if model.output_shape is not None:
                validate_parameters(given, model.output_shape)
            return AWSResponse("", 200, HTTPHeaders(), None), given | {"ResponseMetadata": {}}

        return answer
