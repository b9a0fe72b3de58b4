"""Journey step 2, from the two supplier queues: book, cancel or inquire."""

import os
from datetime import datetime
from functools import partial

from reservations.application.confirm_supplier import confirm_supplier
from reservations.application.provider_step import StepTaken
from reservations.domain.facts import Provider
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services


def make_handler(services: Services) -> observability.Handler:
    take = partial(take_step, services)
    return queue.provider_function(take, services, Provider.SUPPLIER, source=Queue.SUPPLIER)


def take_step(services: Services, hint: Hint, not_after: datetime) -> StepTaken | None:
    return confirm_supplier(
        hint.reservation_id,
        cases=services.prompt_cases(),
        supplier=services.supplier_api(),
        not_after=not_after,
    )


lambda_handler = make_handler(Services(os.environ))
