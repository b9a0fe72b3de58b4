"""Publishes hints within a deadline for all of it."""

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta

from reservations.application.ports import MessagePublisher, Published
from reservations.domain.messages import Hint

_logger = logging.getLogger(__name__)


class PromptPublisher(MessagePublisher):
    """Gives up when `within` is over, whatever the other publisher still does.

    The SDK limits each connect and each read, never their sum, and no name lookup. So a thread of
    its own sends, and the caller waits for it. While a late send lasts, no other begins.
    """

    def __init__(self, publisher: MessagePublisher, *, within: timedelta) -> None:
        self._publisher = publisher
        self._seconds = within.total_seconds()
        self._thread = ThreadPoolExecutor(max_workers=1)  # it starts with the first hint
        self._sending: Future[Published] | None = None

    def publish(self, hints: Sequence[Hint]) -> Published:
        if self._sending is not None and not self._sending.done():
            return _unanswered(hints, reason="busy")
        self._sending = sending = self._thread.submit(self._publisher.publish, hints)
        wait([sending], timeout=self._seconds)
        if not sending.done():
            return _unanswered(hints, reason="late")
        if (error := sending.exception()) is not None:
            return _unanswered(hints, reason=type(error).__name__)
        return sending.result()


def _unanswered(hints: Sequence[Hint], *, reason: str) -> Published:
    _logger.warning("hints not sent at once", extra={"hints": len(hints), "reason": reason})
    return Published(accepted=frozenset(), refused=frozenset())
