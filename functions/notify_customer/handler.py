"""Journey step 4, from the notification queue: send the traveler the next due mail."""

import os
from datetime import datetime
from functools import partial

from reservations import config
from reservations.application.notify_customer import Vouchers, notify_customer
from reservations.domain.messages import Hint, Queue
from reservations.entrypoints import observability, queue
from reservations.services import Services

SETTINGS = (
    config.AccessTokenSettings,
    config.ContactSettings,
    config.IssuerSettings,
    config.MailSettings,
    config.ManagePageSettings,
    config.UnpaidMailSettings,
)


def make_handler(services: Services) -> observability.Handler:
    return queue.function(
        partial(on_hint, services), services, *SETTINGS, source=Queue.NOTIFICATION
    )


def on_hint(services: Services, hint: Hint, _: datetime) -> None:
    store, renderer = services.brief_document_store, services.voucher_renderer
    notified = notify_customer(
        hint.reservation_id,
        cases=services.prompt_cases(),
        mailer=services.mailer,
        vouchers=Vouchers(store=store, renderer=renderer),
        limits=services.unpaid_mail_limits(),
        page=services.manage_page(),
        **services.letterhead(),
    )
    if notified:
        observability.report(
            "mail tried",
            metric=observability.metric_of("Mail", notified.status),
            kind=notified.kind,
        )


lambda_handler = make_handler(Services(os.environ))
