"""Run functions as local processes under AWS's own runtime interface client (awslambdaric).

LocalStack community runs functions in containers only. AWS's runtime interface emulator would be one more
binary and still need this glue. One execution environment is one child process and one small server of the
Lambda Runtime API:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from local.localstack.marks import DEBUGGED, edited_at

_API = "/2018-06-01/runtime/"
_CHILD = str(Path(__file__).with_name("lambda_child.py"))
_MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100  # Lambda's quota for a synchronous answer
_TOO_LARGE = "Function.ResponseSizeTooLarge"
_DEBUGGED_SECONDS = 24 * 60 * 60  # a person thinks as long as they like
_MEMORY_POLL_SECONDS = 0.1  # the kernel keeps the peak, so no poll misses it
_T = TypeVar("_T")


class _ExitedError(Exception):
    """The function's process ended by itself."""


class _Answer(NamedTuple):
    body: bytes
    is_error: bool


class _Job(NamedTuple):
    payload: dict[str, Any]
    deadline_ms: int


def _fault(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _exited(code: int) -> _ExitedError:
    """Word the end of a process as AWS does: `signal: killed`, in lower case."""
    status = f"exit status {code}" if code >= 0 else f"signal: {signal.strsignal(-code)}".lower()
    return _ExitedError(f"Runtime exited with error: {status}")


def _peak_megabytes(pid: int) -> int:
    """Return the peak resident memory of a process, 0 if it has ended."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        if peak := re.search(r"VmHWM:\s+(\d+) kB", status):
            return int(peak[1]) // 1024
    return 0


class _Conversation:
    """Jobs and answers of one process."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[_Job | None] = queue.Queue()
        self.ready: Future[None] = Future()
        self.answer: Future[_Answer] = Future()
        self._end: _ExitedError | None = None

    def ask(self, job: _Job) -> Future[_Answer]:
        """Give the process one invocation and return the future of its answer."""
        self.answer = Future()
        if self._end:  # it ended between two invocations, after our poll
            self.answer.set_exception(self._end)
        self.jobs.put(job)
        return self.answer

    def process_ended(self, code: int) -> None:
        """Fail the init phase or the invocation that is under way."""
        self._end = _exited(code)
        for future in (self.ready, self.answer):
            if not future.done():
                future.set_exception(self._end)
        self.jobs.put(None)

    def initialized(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def failed_to_initialize(self, body: bytes) -> None:
        if not self.ready.done():
            self.ready.set_exception(StatusErrorException("init failed", payload=body))

    def answered(self, answer: _Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class _RuntimeApi(ThreadingHTTPServer):
    """The Lambda Runtime API of one process, on a free loopback port.

    A killed process can leave a request that is read late. At a port of its own it takes no job of the next.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiHandler)
        self.conversation = _Conversation()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def close(self) -> None:
        """End the server; calling it twice does no harm."""
        self.conversation.jobs.put(None)
        self.shutdown()
        self.server_close()


class _RuntimeApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _RuntimeApi

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: each invocation would add two lines."""

    def do_GET(self) -> None:
        """Hand out the next invocation. The first request ends the init phase."""
        conversation = self.server.conversation
        conversation.initialized()
        job = conversation.jobs.get()
        if job is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": job.payload["invoke-id"],
            "Lambda-Runtime-Deadline-Ms": str(job.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": job.payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": job.payload["trace-id"],
        }
        self._reply(200, job.payload["payload"].encode(), headers)

    def do_POST(self) -> None:
        """Take an answer, an error, or a failure to load the function."""
        conversation, body = self.server.conversation, self._body()
        if self.path == f"{_API}init/error":
            conversation.failed_to_initialize(body)
            self._reply(202)
        elif len(body) > _MAX_RESPONSE_BYTES:
            limit = f"({_MAX_RESPONSE_BYTES} bytes)"
            message = f"Response payload size exceeded maximum allowed payload size {limit}."
            self._reply(413)
            conversation.answered(_Answer(_fault(_TOO_LARGE, message), is_error=True))
        else:
            self._reply(202)
            conversation.answered(_Answer(body, is_error=self.path.endswith("/error")))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _reply(
        self, status: int, body: bytes = b"{}", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ProcessExecutor(RuntimeExecutor):
    """One execution environment: LocalStack makes one per parallel call and keeps it warm."""

    folder: ClassVar[Path]  # for work and logs; the launcher sets both
    python: ClassVar[str]  # an environment with the runtime interface client and boto3

    def __init__(self, id: str, function_version: Any) -> None:
        super().__init__(id, function_version)
        self._work = self.folder / "env" / id
        self._log = self.folder / "logs" / f"{function_version.id.function_name}-{id[:8]}.log"
        self._log_position = 0
        self._api: _RuntimeApi | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._peak_megabytes = 0
        self._debugged = False
        self._wanted = self.folder / DEBUGGED / function_version.id.function_name
        function = function_version.config
        self._folders = [
            Path(code.get_unzipped_code_location())
            for code in (function.code, *(layer.code for layer in function.layers))
        ]
        self._edited_at = edited_at(self._folders)

    def start(self, env_vars: dict[str, str]) -> None:
        """Open the Runtime API and start the function's process."""
        (self._work / "tmp").mkdir(parents=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._environment = self._function_environment(env_vars)
        self._spawn()

    def _function_environment(self, env_vars: dict[str, str]) -> dict[str, str]:
        function = self.function_version.config
        task_root = str(function.code.get_unzipped_code_location())
        site = f"python/lib/{function.runtime}/site-packages"
        layers = [
            str(layer.code.get_unzipped_code_location()) for layer in reversed(function.layers)
        ]
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **{name: str(value) for name, value in env_vars.items()},
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "LAMBDA_TASK_ROOT": task_root,
            "LAMBDA_RUNTIME_DIR": task_root,
            # Import order as on AWS: the function, later layers, earlier ones, the runtime's packages.
            # The PYTHONPATH of the function's configuration comes before the layers.
            "PYTHONPATH": os.pathsep.join(
                [
                    *filter(None, [env_vars.get("PYTHONPATH")]),
                    *(f"{layer}/{leaf}" for layer in layers for leaf in (site, "python")),
                ]
            ),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self._work / "tmp"),
            "TZ": "UTC",
            # The check of presigned links knows no role credentials; IAM is not enforced anyway.
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
        environment.pop("AWS_SESSION_TOKEN", None)
        return environment

    def _spawn(self) -> None:
        """Start the process and wait for its first request, which ends the init phase."""
        self._api = _RuntimeApi()
        conversation = self._api.conversation
        self._edited_at = edited_at(self._folders)
        self._debugged = self._wanted.exists()
        debugger = {"DEBUGGER": self._wanted.read_text()} if self._debugged else {}
        read_end, self._lifeline = os.pipe()
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [self.python, _CHILD, str(read_end), self.function_version.config.handler],
                cwd=self._environment["LAMBDA_TASK_ROOT"],
                env=self._environment | debugger | {"AWS_LAMBDA_RUNTIME_API": self._api.address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(read_end,),
                start_new_session=True,
            )
        os.close(read_end)
        self._process, self._peak_megabytes = process, 0
        threading.Thread(
            target=lambda: conversation.process_ended(process.wait()), daemon=True
        ).start()
        try:
            limit = config.LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT
            self._heard(conversation.ready, _DEBUGGED_SECONDS if self._debugged else limit)
        except _ExitedError as error:
            fault = _fault("Runtime.ExitError", str(error))
            raise StatusErrorException("init failed", payload=fault) from error
        except TimeoutError as error:
            self._kill()
            fault = _fault("Sandbox.Timedout", "init timed out")
            raise StatusErrorException("init failed", payload=fault) from error

    def _kill(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._api is not None:
            self._api.close()

    def stop(self) -> None:
        """End the process and its API."""
        self._kill()
        shutil.rmtree(self._work, ignore_errors=True)

    def invoke(self, payload: dict[str, Any]) -> InvocationResult:
        """Run one invocation. As on AWS, start the process again if it is gone."""
        began = time.monotonic()
        answer = self._answer(payload)
        milliseconds = (time.monotonic() - began) * 1000
        return InvocationResult(
            payload["invoke-id"],
            answer.body,
            answer.is_error,
            logs=self._report(payload["invoke-id"], answer, milliseconds),
        )

    def _answer(self, payload: dict[str, Any]) -> _Answer:
        assert self._api is not None and self._process is not None
        request, timeout = (
            f"RequestId: {payload['invoke-id']}",
            self.function_version.config.timeout,
        )
        try:
            edited = edited_at(self._folders) != self._edited_at
            if edited or self._process.poll() is not None:
                self._kill()
                self._spawn()
            if self._debugged:
                timeout = _DEBUGGED_SECONDS
            job = _Job(payload, int((time.time() + timeout) * 1000))
            answer = self._heard(self._api.conversation.ask(job), timeout)
        except TimeoutError:
            self._kill()
            message = f"{request} Error: Task timed out after {timeout:.2f} seconds"
            return _Answer(_fault("Sandbox.Timedout", message), is_error=True)
        except _ExitedError as error:
            return _Answer(_fault("Runtime.ExitError", f"{request} Error: {error}"), is_error=True)
        except StatusErrorException as error:
            return _Answer(error.payload, is_error=True)
        if answer.is_error and _TOO_LARGE.encode() in answer.body[:60]:
            self._kill()  # awslambdaric leaves by itself after a 413; do not race with it
        return answer

    def _heard(self, future: Future[_T], seconds: float) -> _T:
        """Wait for the process, and end it once it outgrows its memory."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0)
            wait([future], min(left, _MEMORY_POLL_SECONDS))
            self._limit_memory()
            if future.done() or not left:
                return future.result(timeout=0)

    def _limit_memory(self) -> None:
        assert self._process is not None
        if self._debugged and self._wanted.exists():
            return
        if self._debugged:  # nobody will attach to it any more
            self._kill()
            raise _exited(-signal.SIGKILL)
        self._peak_megabytes = max(self._peak_megabytes, _peak_megabytes(self._process.pid))
        if self._peak_megabytes > self.function_version.config.memory_size:
            self._kill()
            raise _exited(-signal.SIGKILL)

    def _report(self, request_id: str, answer: _Answer, milliseconds: float) -> str:
        """Return the log of one invocation in the form in which CloudWatch shows it."""
        size = self.function_version.config.memory_size
        error = f"{answer.body.decode(errors='replace')[:2000]}\n" if answer.is_error else ""
        return (
            f"START RequestId: {request_id} Version: $LATEST\n{self._new_log()}{error}"
            f"END RequestId: {request_id}\n"
            f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms"
            f"\tMemory Size: {size} MB\tMax Memory Used: {min(self._peak_megabytes, size)} MB\n"
        )

    def _new_log(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_position)
            text = log.read().decode(errors="replace").replace("\r", "\n")
            self._log_position = log.tell()
        return text if not text or text.endswith("\n") else f"{text}\n"

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return f"http://{self._api.address}" if self._api else ""

    def get_logs(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        """Unpack the code and the layers of a version."""
        layers = [layer.code for layer in function_version.config.layers]
        for code in (function_version.config.code, *layers):
            code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Leave the unpacked code: other versions may share it."""
