"""What becomes of an entry by what leaves its handler."""

import logging
from typing import Any

import anyio
import pytest

from consumers.delivery import Delivery
from consumers.handling import Handling, about

pytestmark = pytest.mark.both_loops


class Inbox:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.failures: list[BaseException | None] = []

    def failed(self, delivery: Delivery, error: BaseException | None, delay: float | None) -> None:
        self.failures.append(error)


def _delivery(inbox: Any) -> Delivery:
    return Delivery(inbox, "s", "1-0", [], 1)


async def test_success_is_told_unless_the_handler_has_decided() -> None:
    succeeded: list[Delivery] = []

    async def handle(delivery: Delivery) -> None: ...

    async def settles(delivery: Delivery) -> None:
        from consumers.delivery import State

        delivery.state = State.SETTLING

    handling: Handling[Delivery] = Handling(None, succeeded.append)
    first = _delivery(Inbox())
    await handling.run(first, handle)
    await handling.run(_delivery(Inbox()), settles)
    assert succeeded == [first]


async def test_what_is_cut_short_goes_on_upwards_without_what_failed_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = Inbox()

    async def untidy(delivery: Delivery) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            try:
                await anyio.sleep_forever()
            finally:
                raise SystemExit("untidy")

    handling: Handling[Delivery] = Handling(None, None)
    with anyio.move_on_after(0.01) as scope:
        await handling.run(_delivery(inbox), untidy)
    assert scope.cancelled_caught and inbox.failures == []
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "failed while it was cancelled" in record.getMessage()


async def test_a_failure_is_the_entrys() -> None:
    inbox = Inbox()

    async def exits(delivery: Delivery) -> None:
        raise SystemExit(3)

    delivery = _delivery(inbox)
    await Handling[Delivery](None, None).run(delivery, exits)
    assert [type(error) for error in inbox.failures] == [SystemExit]
    assert about(delivery) == {"stream": "s", "id": "1-0", "delivery_count": 1}
