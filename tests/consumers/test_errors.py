"""Which failures pass by themselves."""

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from coredis import exceptions

from consumers.errors import Retry, alone, cut_short, transient


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("lost"), TimeoutError(), OSError(), exceptions.ReadOnlyError("replica"),
        exceptions.BusyLoadingError("loading"), exceptions.UnblockedError("gone"),
        exceptions.ResponseError("OOM command not allowed when used memory > 'maxmemory'."),
        exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        exceptions.ClusterDownError("down"), exceptions.RedisClusterError("no node is known for the slot"),
    ],
)  # fmt: skip
def test_what_passes(error: Exception) -> None:
    assert transient(error)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.WrongTypeError("type"), exceptions.AuthorizationError("no"), exceptions.UnknownCommandError("x"),
        exceptions.ResponseError("ERR syntax error"), ValueError(), exceptions.AuthenticationRequiredError("auth"),
        exceptions.ClusterCrossSlotError("CROSSSLOT"),
    ],
)  # fmt: skip
def test_what_stays(error: Exception) -> None:
    assert not transient(error)


def test_retry_carries_its_delay() -> None:
    assert Retry("later", delay=3).delay == 3 and Retry().delay is None and str(Retry("later")) == "later"


async def _cancelled() -> trio.Cancelled:
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class() as error:
            return error
    raise AssertionError


async def test_what_is_a_handlers_own_failure() -> None:
    for error in (SystemExit(3), GeneratorExit(), BaseException(), ValueError(), ExceptionGroup("", [ValueError()])):
        assert cut_short(error) is None
    assert cut_short(BaseExceptionGroup("", [SystemExit(), BaseExceptionGroup("", [GeneratorExit()])])) is None


async def test_what_comes_from_outside_of_a_handler() -> None:
    cancelled, interrupt = await _cancelled(), KeyboardInterrupt()
    nested = BaseExceptionGroup("", [cancelled, BaseExceptionGroup("", [interrupt])])
    for error in (cancelled, interrupt, nested):
        assert cut_short(error) is error
    mixed = cut_short(BaseExceptionGroup("", [SystemExit(), ValueError(), cancelled]))
    assert isinstance(mixed, BaseExceptionGroup) and mixed.exceptions == (cancelled,)


def test_a_coroutine_that_python_closes_has_not_failed() -> None:
    error = GeneratorExit()
    assert cut_short(error) is error


def test_what_a_nursery_puts_around_one_exception_is_taken_off() -> None:
    error = ValueError()
    both = ExceptionGroup("", [error, ValueError()])
    assert alone(ExceptionGroup("", [ExceptionGroup("", [error])])) is error is alone(error) and alone(both) is both
