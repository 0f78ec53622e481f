"""SHUTDOWN and WAIT."""

from pathlib import Path

import pytest
import trio.testing

from tests.broker.inprocess import running


@pytest.mark.parametrize("command", ["SHUTDOWN", "SHUTDOWN NOSAVE", "shutdown now force save"])
async def test_shutdown_ends_the_broker_without_a_reply(command: str, tmp_path: Path) -> None:
    async with running({"dir": str(tmp_path)}) as broker:
        client = await broker.client()
        await client.send(command)
        await broker.server.stopping.wait()


async def test_nothing_behind_a_shutdown_is_executed() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(b"SET a 1\r\nSHUTDOWN NOSAVE\r\nSET b 1\r\n")
        await broker.server.stopping.wait()
        assert list(broker.broker.keyspace.databases[0].data) == [b"a"]


@pytest.mark.parametrize("command", ["SHUTDOWN foo", "SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW", "SHUTDOWN ABORT"])
async def test_a_refused_shutdown(command: str) -> None:
    async with running() as broker:
        client = await broker.client()
        assert (await client.call(command)).startswith(b"-ERR ")
        assert not broker.server.stopping.is_set()


async def test_wait_gives_up_after_its_time(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("WAIT 0 0") == b":0\r\n"
        started = trio.current_time()
        assert await client.call("WAIT 1 5000") == b":0\r\n"
        assert trio.current_time() - started == pytest.approx(5, abs=0.1)
