"""What becomes of an entry that failed: it is delivered again, after a delay, or it is dead."""

import logging

from consumers.delivery import Delivery
from consumers.errors import cut_short
from consumers.handling import about
from consumers.middleware import Middlewares
from consumers.retry import Backoff
from consumers.settling import Outcome, Settlement

__all__ = ["Verdicts"]

logger = logging.getLogger("consumers")


class Verdicts:
    """max_deliver: deliveries after which an entry is dead; None: never. retry: the delays. hooks: are told."""

    def __init__(self, max_deliver: int | None, retry: Backoff, hooks: Middlewares) -> None:
        self._max_deliver = max_deliver
        self._retry = retry
        self._hooks = hooks

    def failed(self, delivery: Delivery, error: BaseException | None, delay: float | None) -> Settlement:
        """Have it delivered again after `delay` seconds, or as the retry policy says; or dead-letter it.

        An error that is the end of the consumer is none of the entry's, and uses up no delivery.
        """
        if error is not None and cut_short(error) is not None:
            return Settlement(delivery, Outcome.NACK, used=False)
        count = delivery.delivery_count - delivery.doubtful
        if self._max_deliver is not None and count >= self._max_deliver:
            cause = f": {type(error).__name__}: {error}" if error is not None else ""
            return self.rejected(delivery, f"failed {count} times{cause}", error)
        wait = self._retry.delay(count) if delay is None else max(0.0, delay)
        logger.warning(
            "%s %s failed, trying again in %.2f s", delivery.stream, delivery.id, wait,
            exc_info=error, extra=about(delivery) | {"delay": wait},
        )  # fmt: skip
        self._hooks.retry(delivery, wait)
        return Settlement(delivery, Outcome.NACK, delay=wait)

    def rejected(self, delivery: Delivery, reason: str, error: BaseException | None = None) -> Settlement:
        """Dead-letter it."""
        logger.error(
            "%s %s is given up: %s", delivery.stream, delivery.id, reason,
            exc_info=error, extra=about(delivery) | {"reason": reason},
        )  # fmt: skip
        self._hooks.dead(delivery, reason)
        return Settlement(delivery, Outcome.DEAD_LETTER, reason=reason)
