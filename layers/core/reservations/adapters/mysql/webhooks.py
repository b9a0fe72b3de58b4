"""Webhooks that were received: their ids, so that a second delivery does nothing."""

from reservations.adapters.mysql import statements
from reservations.adapters.mysql.engine import Database
from reservations.application.ports import WebhookEvent, Webhooks


class MySqlWebhooks(Webhooks):
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, event: WebhookEvent) -> bool:
        webhook = statements.ADD_WEBHOOK(
            provider=event.provider,
            webhook_id=event.webhook_id,
            type=event.type,
            reference=event.reference,
        )
        return self._database.change(webhook) == 1
