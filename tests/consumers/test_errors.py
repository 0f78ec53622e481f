"""Which failures pass by themselves."""

import pytest
from coredis import exceptions

from consumers.errors import Retry, transient


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
