"""Send stored hints as soon as their commit is done. The outbox publishes those that were not sent."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from reservations.application.ports import MessagePublisher, OutboxMessage, UnitOfWork
from reservations.domain.errors import ReservationsError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HintSender:
    """Publishes at once, and marks in a unit of work of its own."""

    uow: UnitOfWork
    publisher: MessagePublisher

    def send(self, messages: Sequence[OutboxMessage]) -> None:
        """Send committed hints. No failure is raised: the poller sends them when their lease ends."""
        if not messages:
            return
        accepted = self.publisher.publish([message.hint for message in messages]).accepted
        sent = [message for message in messages if message.hint.message_id in accepted]
        if sent:
            self._mark(sent)

    def _mark(self, sent: Sequence[OutboxMessage]) -> None:
        try:
            with self.uow:
                self.uow.outbox.mark_published(sent)
                self.uow.commit()
        except ReservationsError as error:  # each of them is sent once more
            _logger.warning("hints not marked", extra={"error": type(error).__name__})
