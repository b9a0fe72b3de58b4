"""Journey step 1, from the two payment queues: charge, void, refund or inquire."""

import os
from datetime import datetime
from functools import partial

from reservations.application.process_payment import process_payment
from reservations.application.provider_step import StepTaken
from reservations.domain.facts import Provider
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    take = partial(take_step, services)
    return queue.provider_function(take, services, Provider.PAYMENTS, source=Queue.PAYMENT)


def take_step(services: Services, hint: Hint, not_after: datetime) -> StepTaken | None:
    return process_payment(
        hint.reservation_id,
        cases=services.prompt_cases(),
        payments=services.payments_api(),
        not_after=not_after,
    )


lambda_handler = make_handler(Services(os.environ))
