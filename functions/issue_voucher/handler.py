"""Journey step 3, from the voucher queue: render the PDF of a confirmed reservation and store it in S3."""

import os
from datetime import datetime
from functools import partial

from aws_lambda_powertools.metrics import MetricUnit

from reservations import config
from reservations.application.issue_voucher import issue_voucher
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services

SETTINGS = (config.AccessTokenSettings, config.ContactSettings, config.IssuerSettings)


def make_handler(services: Services) -> observability.Handler:
    return queue.function(partial(on_hint, services), services, *SETTINGS, source=Queue.VOUCHER)


def on_hint(services: Services, hint: Hint, _: datetime) -> None:
    issued = issue_voucher(
        hint.reservation_id,
        cases=services.prompt_cases(),
        renderer=services.voucher_renderer,
        store=services.document_store,
        keys=services.key_ring(),
        **services.letterhead(),
    )
    if issued:
        observability.report("voucher issued", metric="VoucherIssued")
        observability.measure(
            metric="ConfirmedAfter",
            value=issued.confirmed_after.total_seconds(),
            unit=MetricUnit.Seconds,
        )


lambda_handler = make_handler(Services(os.environ))
