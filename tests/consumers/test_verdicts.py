"""What becomes of an entry that failed."""

import logging
from typing import Any

import pytest

from consumers.delivery import Delivery
from consumers.middleware import Handled, Middleware, Middlewares
from consumers.retry import Backoff
from consumers.settling import Outcome
from consumers.verdicts import Verdicts


class Hooks(Middleware):
    def __init__(self) -> None:
        self.told: list[object] = []

    def retry(self, message: Handled, delay: float) -> None:
        self.told.append(delay)

    def dead(self, message: Handled, reason: str) -> None:
        self.told.append(reason)


def _delivery(count: int, doubtful: int = 0) -> Delivery:
    inbox: Any = None
    delivery = Delivery(inbox, "orders", "1-1", [], count)
    delivery.doubtful = doubtful
    return delivery


def _verdicts(hooks: Hooks, max_deliver: int | None = 3) -> Verdicts:
    return Verdicts(max_deliver, Backoff(initial=1, factor=2, max=60, jitter=False), Middlewares([hooks]))


@pytest.mark.parametrize(
    ("count", "doubtful", "delay", "expected"),
    [(1, 0, None, 1.0), (2, 0, None, 2.0), (2, 1, None, 1.0), (4, 2, None, 2.0), (2, 0, 7.0, 7.0), (1, 0, -1.0, 0.0)],
)
def test_it_is_delivered_again(
    count: int, doubtful: int, delay: float | None, expected: float, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Hooks()
    verdict = _verdicts(hooks).failed(_delivery(count, doubtful), ValueError("no"), delay)
    assert (verdict.outcome, verdict.delay, verdict.used) == (Outcome.NACK, expected, True)
    assert hooks.told == [expected]
    assert caplog.messages == [f"orders 1-1 failed, trying again in {expected:.2f} s"]


def test_without_a_maximum_it_never_dies() -> None:
    assert _verdicts(Hooks(), None).failed(_delivery(1000), None, None).outcome is Outcome.NACK


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no"), "failed 3 times: ValueError: no"), (None, "failed 3 times")]
)
def test_at_the_maximum_it_is_dead(error: Exception | None, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    hooks = Hooks()
    verdict = _verdicts(hooks).failed(_delivery(4, doubtful=1), error, 5.0)
    assert (verdict.outcome, verdict.reason, hooks.told) == (Outcome.DEAD_LETTER, reason, [reason])
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.getMessage() == f"orders 1-1 is given up: {reason}"


async def test_the_end_of_the_consumer_uses_up_no_delivery() -> None:
    import trio

    hooks = Hooks()
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            verdict = _verdicts(hooks).failed(_delivery(3), error, None)
            raise
    assert (verdict.outcome, verdict.used, hooks.told) == (Outcome.NACK, False, [])
