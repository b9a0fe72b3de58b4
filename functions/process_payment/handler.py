"""Journey step 1, from the payment queue: do what is due about the customer's money."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.process_payment import process_payment
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue


def on_hint(hint: Hint, not_after: datetime) -> None:
    step = process_payment(
        hint.reservation_id,
        uow=wiring.unit_of_work(ping=True),
        payments=wiring.payments_api(),
        policy=wiring.policy(),
        not_after=not_after,
    )
    observability.report_step(step)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare(config.PaymentsSettings)
    return queue.consume(event, context, on_hint, source=Queue.PAYMENT)
