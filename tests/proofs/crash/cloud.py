"""AWS in this process, which outlives every killed function: moto behind an HTTP port.

Moto's own server needs Flask. Its dispatcher needs only a request.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends
from moto.sqs.models import sqs_backends

REGION = "eu-west-1"
SENDER = "reservas@example.com"
MAIL_SET = "reservations-test"
VISIBILITY_SECONDS = 1  # until the message of a dead reader comes back

_MOTO = {
    "MOTO_SQS_ENFORCE_STRICT_QUEUE_PURGE_BEHAVIOUR": "false"
}  # allow more than one purge a minute
_HOSTS = {"ses": "email"}  # host names that differ from the service's name
_stubber = BotocoreStubber()


class Cloud:
    """SQS, S3, SES and SSM. The clients of this process reach it without HTTP."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._mocks: list[Any] = [patch.dict(os.environ, _MOTO), mock_aws()]
        for mock in self._mocks:
            mock.start()
        self.sqs = boto3.client("sqs", region_name=REGION)
        self.s3 = boto3.client("s3", region_name=REGION)
        self.ssm = boto3.client("ssm", region_name=REGION)
        ses = boto3.client("ses", region_name=REGION)
        ses.verify_email_identity(EmailAddress=SENDER)
        ses.create_configuration_set(ConfigurationSet={"Name": MAIL_SET})
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for mock in reversed(self._mocks):
            mock.stop()

    def environ(self) -> dict[str, str]:
        """Environment variables that point a process at this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def queue(self, name: str) -> str:
        """Create a queue and return its URL for the functions."""
        visibility = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        self.sqs.create_queue(QueueName=name, Attributes=visibility)  # type: ignore[arg-type]
        return f"{self.url}/{DEFAULT_ACCOUNT_ID}/{name}"

    def waiting(self, url: str) -> int:
        """Number of messages in a queue, hidden ones included. It is cheaper than a call to SQS."""
        return len(sqs_backends[DEFAULT_ACCOUNT_ID][REGION].get_queue(Path(url).name)._messages)

    def bucket(self, name: str) -> str:
        configuration = {"LocationConstraint": REGION}
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration=configuration)  # type: ignore[arg-type]
        return name

    @contextmanager
    def refusing(self, queue_url: str) -> Iterator[None]:
        """Make a queue refuse every entry of a batch as the sender's fault, which moto never does."""
        self._server.refusing.add(queue_url)
        try:
            yield
        finally:
            self._server.refusing.discard(queue_url)

    def before_storing(self, bucket: str, act: Callable[[], None] | None) -> None:
        """Call `act` once, when a function has sent an object and before the bucket stores it."""
        self._server.before_storing[bucket] = act

    def mails_to(self, address: str) -> list[str]:
        """The raw mails that SES accepted for an address, oldest first."""
        sent = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
        return [mail.raw_data for mail in sent if address in mail.destinations]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refusing: set[str] = set()
        self.before_storing: dict[str, Callable[[], None] | None] = {}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore killed callers, which are expected. Show any other error: it is a defect."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        service, region = self._signed_for()
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = value
        url = f"https://{_HOSTS.get(service, service)}.{region}.amazonaws.com{self.path}"
        request = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
        act = self._just_before()
        if act is not None:
            act()
        answer = self._refusal(body) or _stubber.process_request(request)
        assert answer is not None
        status, told, content = answer
        content = content.encode() if isinstance(content, str) else content
        self.send_response_only(status)
        for name, value in told.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _just_before(self) -> Callable[[], None] | None:
        bucket = self.path.split("/")[1]
        return self.server.before_storing.pop(bucket, None) if self.command == "PUT" else None

    def _refusal(self, body: bytes) -> tuple[int, dict[str, str], str] | None:
        """A 200 that lists every entry as failed, or `None` if the queue does not refuse."""
        if self.headers.get("X-Amz-Target") != "AmazonSQS.SendMessageBatch":
            return None
        batch = json.loads(body)
        if batch["QueueUrl"] not in self.server.refusing:
            return None
        fault = {"SenderFault": True, "Code": "InvalidMessageContents"}
        failed = [{"Id": entry["Id"], **fault} for entry in batch["Entries"]]
        return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps({"Failed": failed})

    def _signed_for(self) -> tuple[str, str]:
        """Service and region from the request's signature: `Credential=key/day/region/service/…`."""
        scope = self.headers["Authorization"].partition("Credential=")[2].split("/")
        return scope[3], scope[2]

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Log nothing."""
