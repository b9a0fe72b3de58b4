"""Journey step 2, from the supplier queue: book, ask about or cancel the service."""

import os
from datetime import datetime
from functools import partial

from reservations import config
from reservations.application.confirm_supplier import confirm_supplier
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    return queue.function(
        partial(on_hint, services), services, config.SupplierSettings, source=Queue.SUPPLIER
    )


def on_hint(services: Services, hint: Hint, not_after: datetime) -> None:
    step = confirm_supplier(
        hint.reservation_id,
        uow=services.unit_of_work(ping=True),
        supplier=services.supplier_api(),
        policy=services.policy(),
        not_after=not_after,
    )
    observability.report_step(step)


lambda_handler = make_handler(Services(os.environ))
