"""Journey step 1, from the payment queue: do what is due about the customer's money."""

import os
from datetime import datetime
from functools import partial

from reservations import config
from reservations.application.process_payment import process_payment
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    return queue.function(
        partial(on_hint, services), services, config.PaymentsSettings, source=Queue.PAYMENT
    )


def on_hint(services: Services, hint: Hint, not_after: datetime) -> None:
    step = process_payment(
        hint.reservation_id,
        uow=services.unit_of_work(ping=True),
        payments=services.payments_api(),
        policy=services.policy(),
        not_after=not_after,
    )
    observability.report_step(step)


lambda_handler = make_handler(Services(os.environ))
