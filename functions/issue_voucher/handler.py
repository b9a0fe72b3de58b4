"""Journey step 3, from the voucher queue: make the PDF of a confirmed reservation and keep it in S3."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.issue_voucher import issue_voucher
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue


def on_hint(hint: Hint, _: datetime) -> None:
    issued = issue_voucher(
        hint.reservation_id,
        uow=wiring.unit_of_work(ping=True),
        renderer=wiring.voucher_renderer(),
        store=wiring.document_store(),
        policy=wiring.policy(),
        keys=wiring.key_ring(),
        support_contact=wiring.support_contact(),
    )
    if issued:
        observability.report("voucher issued", metric="VoucherIssued")
        observability.measure(
            metric="ConfirmedAfter",
            value=issued.confirmed_after.total_seconds(),
            unit=MetricUnit.Seconds,
        )


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare(config.AccessTokenSettings, config.ContactSettings)
    return queue.consume(event, context, on_hint, source=Queue.VOUCHER)
