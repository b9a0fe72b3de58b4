"""Journey step 2, from the supplier queue: book, ask about or cancel the service."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.confirm_supplier import confirm_supplier
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue


def on_hint(hint: Hint, not_after: datetime) -> None:
    step = confirm_supplier(
        hint.reservation_id,
        uow=wiring.unit_of_work(ping=True),
        supplier=wiring.supplier_api(),
        policy=wiring.policy(),
        not_after=not_after,
    )
    observability.report_step(step)


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare(config.SupplierSettings)
    return queue.consume(event, context, on_hint, source=Queue.SUPPLIER)
