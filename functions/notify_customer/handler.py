"""Journey step 4, from the notification queue: mail the traveler what they should know."""

from datetime import datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from reservations import config, wiring
from reservations.application.notify_customer import Vouchers, notify_customer
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue


def on_hint(hint: Hint, _: datetime) -> None:
    store = wiring.document_store(patient=False)
    notified = notify_customer(
        hint.reservation_id,
        uow=wiring.unit_of_work(ping=True),
        mailer=wiring.mailer(),
        vouchers=Vouchers(store=store, renderer=wiring.voucher_renderer()),
        policy=wiring.policy(),
        support_contact=wiring.support_contact(),
    )
    if notified:
        observability.report(
            "mail tried",
            metric=f"Mail{notified.status.name.title().replace('_', '')}",
            kind=notified.kind,
        )


@observability.function
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    wiring.prepare(config.ContactSettings, config.MailSettings)
    return queue.consume(event, context, on_hint, source=Queue.NOTIFICATION)
