"""Turns: ticks that follow each other before Trio's other tasks run, and how long a turn lingers."""

import socket

import pytest
import trio
import trio.testing

from broker.network.tick import LINGER_MS, Tick
from broker.process.poller import Watches, create_poller
from tests.broker.inprocess import running
from tests.broker.network.test_tick import follow
from tests.broker.sessions import make_broker
from tests.oracle.wire import encode


async def test_after_a_turn_comes_after_all_ticks_of_it() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        seen: list[str] = []
        follow(broker, "end_tick", lambda: seen.append("tick"))
        follow(broker, "end_turn", lambda: seen.append("turn"))
        await client.call("PING")
        assert seen == ["tick", "turn"]


@pytest.mark.parametrize("linger_ms", [0, LINGER_MS])
async def test_a_turn_lingers_only_where_nothing_else_runs(linger_ms: int) -> None:
    """What a poll may wait: nothing for the first of a turn, and then until it brought nothing."""
    seen: list[int] = []

    class Recorded(Watches):
        def __init__(self) -> None:
            super().__init__(create_poller())
            self.poller, self._poller = self, self.poller

        def poll(self, milliseconds: int, /) -> list[tuple[int, int]]:
            seen.append(milliseconds)
            return self._poller.poll(milliseconds)

        def __getattr__(self, name: str) -> object:
            return getattr(self._poller, name)

    watches = Recorded()
    broker = make_broker(watches=watches)
    tick = Tick(broker, watches, linger_ms)
    ours, theirs = socket.socketpair()
    tick.adopt(ours, b"127.0.0.1:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick.run)
        for _ in range(2):
            theirs.send(encode("PING"))
            await trio.lowlevel.wait_readable(theirs)
            assert theirs.recv(100) == b"+PONG\r\n"
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [0, linger_ms] * 2
    tick.shutdown()
    theirs.close()
