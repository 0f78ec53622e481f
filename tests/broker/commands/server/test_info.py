"""INFO, LOLWUT, ROLE, TIME as commands."""

import trio.testing

from broker.process.clock import TrioClock
from broker.version import REDIS_VERSION, VERSION
from tests.broker.inprocess import running


async def test_info_is_a_text_for_people() -> None:
    async with running() as broker:
        client = await broker.client()
        assert f"redis_version:{REDIS_VERSION}\r\ntrimaran_version:{VERSION}\r\n" in await client.text("INFO server")
        await client.call("HELLO 3")
        assert (await client.call("INFO nonsense")) == b"=4\r\ntxt:\r\n"


async def test_time_is_the_brokers_clock(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock(epoch_ms=1_000_500)) as broker:
        client = await broker.client()
        assert await client.call("TIME") == b"*2\r\n$4\r\n1000\r\n$6\r\n500000\r\n"


async def test_role_and_lolwut() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("ROLE") == b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        assert f"Redis ver. {REDIS_VERSION}\n" in await client.text("LOLWUT")
        assert await client.text("LOLWUT version 5 1 2") == await client.text("LOLWUT")
        assert await client.text("LOLWUT version 7") == f"Redis ver. {REDIS_VERSION}\n"
