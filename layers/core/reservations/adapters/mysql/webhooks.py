"""Webhooks that were received: their ids, so that a second delivery does nothing."""

from sqlalchemy import func, insert, text
from sqlalchemy.exc import IntegrityError

from reservations.adapters.mysql.engine import DUPLICATE, Database, error_number
from reservations.adapters.mysql.tables import WEBHOOK
from reservations.application.ports import WebhookEvent, Webhooks

_ADD = insert(WEBHOOK).values(received_at=func.utc_timestamp(text("6")))


class MySqlWebhooks(Webhooks):
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, event: WebhookEvent) -> bool:
        values = {
            "provider": event.provider,
            "webhook_id": event.webhook_id,
            "type": event.type,
            "reference": event.reference,
        }
        try:
            self._database.execute(_ADD, values)
        except IntegrityError as error:
            if error_number(error) != DUPLICATE:
                raise
            return False
        return True
