"""Passes an entry to its handler and judges the outcome: success, a failure, or a cancellation from outside."""

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from consumers.delivery import Delivery
from consumers.errors import cut_short
from consumers.middleware import Middlewares

__all__ = ["Handling", "about"]

logger = logging.getLogger("consumers")

D = TypeVar("D", bound=Delivery)


class Handling(Generic[D]):
    """hooks: called around handlers. succeeded: called when a handler returns without having settled its entry."""

    def __init__(self, hooks: Middlewares | None, succeeded: Callable[[D], None] | None) -> None:
        self._hooks = hooks
        self._succeeded = succeeded

    async def run(self, delivery: D, handle: Callable[[D], Awaitable[object]]) -> None:
        """Handle an entry. Raises only what comes from outside the handler, see cut_short."""
        try:
            if self._hooks is not None:
                await self._run_with_hooks(self._hooks, delivery, handle)
            else:
                await handle(delivery)
        except BaseException as error:
            if (outside := cut_short(error)) is error:
                raise
            if outside is not None:
                logger.warning("%r failed while it was cancelled", delivery, exc_info=error, extra=about(delivery))
                raise outside from None
            delivery.fail(error)
        else:
            if self._succeeded is not None and not delivery.settled:
                self._succeeded(delivery)

    @staticmethod
    async def _run_with_hooks(hooks: Middlewares, delivery: D, handle: Callable[[D], Awaitable[object]]) -> None:
        begun = trio.current_time()
        hooks.start(delivery)
        try:
            await handle(delivery)
        except BaseException as error:
            hooks.failure(delivery, error, trio.current_time() - begun)
            raise
        hooks.success(delivery, trio.current_time() - begun)


def about(delivery: Delivery) -> dict[str, object]:
    """The fields of a structured log line."""
    return {"stream": delivery.stream, "id": delivery.id, "delivery_count": delivery.delivery_count}
