"""Start LocalStack community as a plain process: `python -m local.localstack.launcher STATE PORT PYTHON`.

LocalStack ships as a container image and runs functions in more containers. This module replaces both, for
machines without Docker. PYTHON is the interpreter of the functions.
"""

import functools
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_SERVICES = (
    "apigateway",
    "cloudformation",
    "cloudwatch",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "ses",
    "sns",
    "sqs",
    "ssm",
    "sts",
)
_DEPLOY_POLL_SECONDS = 0.1
_POLLERS_OF_A_QUEUE = 3  # AWS begins with five
_LONG_POLL_SECONDS = 20  # the most that SQS allows


def _configure(state: Path, address: str) -> None:
    os.environ.update(
        {
            "GATEWAY_LISTEN": address,
            "LOCALSTACK_HOST": address,
            "OVERRIDE_IN_DOCKER": "0",  # inside a container it would ignore FILESYSTEM_ROOT
            "FILESYSTEM_ROOT": str(state / "fs"),  # instead of /var/lib/localstack
            "XDG_CACHE_HOME": str(state / "cache"),
            "CONFIG_DIR": str(state / "config"),  # instead of ~/.localstack
            "SQS_ENDPOINT_STRATEGY": "path",  # the default needs a DNS name
            "DNS_ADDRESS": "0",  # as root it would open port 53
            "DISABLE_EVENTS": "1",
            "SQS_DISABLE_CLOUDWATCH_METRICS": "1",  # each would be a request to itself
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "S3_SKIP_SIGNATURE_VALIDATION": "0",  # else expired and altered links work, unlike on AWS
            # Each service takes up to a second to load, so all load while SAM builds.
            "EAGER_SERVICE_LOADING": "1",
            "SERVICES": ",".join(_SERVICES),
            # AWS gives 10 s. A cold start takes a second of CPU, but minutes of waiting on a saturated machine.
            "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "120",
            # AWS polls without a break. By default LocalStack polls a queue every second, every 10 s
            # while it is idle, and every 60 s after an error.
            "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.01",
            "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "0.01",
            "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_ERROR_SEC": "2",
        }
    )
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(state / "tmp")  # functions are unpacked there


def _listen_on_loopback_only() -> None:
    from twisted.internet import endpoints

    # LocalStack's server ignores the host in GATEWAY_LISTEN and binds 0.0.0.0.
    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )


def _keep_objects_in(folder: Path) -> None:
    from localstack.services.s3 import provider

    provider.DEFAULT_S3_TMP_DIR = str(folder)  # the default is in /tmp and ignores tempfile


def _deploy_without_long_naps() -> None:
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    # By default it checks one resource after the other, each once a second.
    ResourceProviderExecutor.deploy_loop = functools.partialmethod(
        ResourceProviderExecutor.deploy_loop, sleep_time=_DEPLOY_POLL_SECONDS
    )


def _ask_queues_as_aws_does() -> None:
    """Poll in parallel and by long polling: docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html."""
    from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker
    from localstack.services.lambda_.event_source_mapping.pollers.sqs_poller import SqsPoller
    from localstack.utils.threads import FuncThread

    start, make = EsmWorker.start, SqsPoller.__init__

    # It polls for the batching window, which is 0 here, so idle queues cost half a core.
    def make_patient(poller: SqsPoller, *arguments: Any, **options: Any) -> None:
        make(poller, *arguments, **options)
        poller.maximum_batching_window = _LONG_POLL_SECONDS

    # Its worker handles one batch at a time: behind a slow call hints arrive faster than they leave.
    def start_in_parallel(worker: EsmWorker) -> None:
        start(worker)
        for number in range(1, _POLLERS_OF_A_QUEUE):
            name = f"event-source-mapping-poller-{worker.uuid}-{number}"
            FuncThread(worker.poller_loop, name=name).start()

    EsmWorker.start, SqsPoller.__init__ = start_in_parallel, make_patient


def _count_no_calls() -> None:
    from localstack.services.lambda_.invocation import version_manager

    # Each call of a function would cost a request to itself, for metrics that are not used here.
    for name in ("record_cw_metric_invocation", "record_cw_metric_error"):
        assert hasattr(version_manager, name), name
        setattr(version_manager, name, lambda *_, **__: None)


def _run_functions_as_processes(state: Path, python: str) -> None:
    from localstack.services.lambda_.invocation import runtime_executor

    from local.localstack.process_executor import ProcessExecutor

    ProcessExecutor.folder, ProcessExecutor.python = state / "lambda", python
    # get_runtime_executor() is copied by name into other modules, but asks this object at every call.
    plugin = SimpleNamespace(load=lambda: ProcessExecutor)
    runtime_executor.EXECUTOR_PLUGIN_MANAGER = SimpleNamespace(
        exists=lambda name: True, load=lambda name: plugin
    )


def main() -> None:
    """Run LocalStack until SIGTERM. Its modules read the settings when they are imported."""
    state, port, python = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3]
    _configure(state, f"127.0.0.1:{port}")
    _listen_on_loopback_only()
    _run_functions_as_processes(state, python)
    _keep_objects_in(state / "s3")
    _deploy_without_long_naps()
    _ask_queues_as_aws_does()
    _count_no_calls()

    from local.localstack import gateway_responses

    gateway_responses.install()

    from localstack.runtime.main import main as run

    run()


if __name__ == "__main__":
    main()
