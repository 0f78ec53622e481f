"""Passes an entry to its handler and judges the outcome: success, a failure, or a cancellation from outside."""

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from consumers.delivery import Delivery
from consumers.errors import cut_short
from consumers.loops import Owner
from consumers.middleware import Middlewares

__all__ = ["Handling", "about"]

logger = logging.getLogger("consumers")

D = TypeVar("D", bound=Delivery)


class Handling(Generic[D]):
    """hooks: called around handlers. succeeded: called when a handler returns without having settled its entry."""

    def __init__(self, hooks: Middlewares | None, succeeded: Callable[[D], None] | None) -> None:
        self._hooks = hooks
        self._succeeded = succeeded
        self._owner: Owner | None = None

    def begin(self) -> None:
        """Handlers are run by tasks that the current one starts."""
        self._owner = Owner()

    async def run(self, delivery: D, handle: Callable[[D], Awaitable[object]]) -> None:
        """Handle an entry. Raises only what comes from outside the handler, see cut_short."""
        try:
            if self._hooks is not None:
                await self._run_with_hooks(self._hooks, delivery, handle)
            else:
                await handle(delivery)
        except BaseException as error:
            forgiven = self._owner is not None and self._owner.forgives(error)
            if (outside := None if forgiven else cut_short(error)) is error:
                raise
            if outside is not None:
                logger.warning("%r failed while it was cancelled", delivery, exc_info=error, extra=about(delivery))
                # on asyncio it is not what the scope has raised, and would not end there
                await checkpoint_if_cancelled()
                raise outside from None
            delivery.fail(error)
        else:
            if self._succeeded is not None and not delivery.settled:
                self._succeeded(delivery)

    @staticmethod
    async def _run_with_hooks(hooks: Middlewares, delivery: D, handle: Callable[[D], Awaitable[object]]) -> None:
        begun = anyio.current_time()
        hooks.start(delivery)
        try:
            await handle(delivery)
        except BaseException as error:
            hooks.failure(delivery, error, anyio.current_time() - begun)
            raise
        hooks.success(delivery, anyio.current_time() - begun)


def about(delivery: Delivery) -> dict[str, object]:
    """The fields of a structured log line."""
    return {"stream": delivery.stream, "id": delivery.id, "delivery_count": delivery.delivery_count}
