"""Live subscriptions against each server: what arrives, and what a service learns when something did not."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import coredis
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint

from broker import open_broker
from broker.process.clock import TrioClock
from broker.testing import in_process
from consumers.fanout import (
    Backoff,
    Gap,
    Message,
    Reason,
    SlowConsumerError,
    Subscription,
    WhenFull,
    publish,
    publish_many,
    subscribe,
)
from tests.consumers.network import Network, network

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
QUICK = Backoff(initial=0.01, factor=2, max=0.1)


@pytest.fixture(autouse=True)
async def time_limit() -> AsyncIterator[None]:
    with anyio.fail_after(30):
        yield


@pytest.fixture
async def way(server_url: str) -> AsyncIterator[Network]:
    async with network(server_url) as opened:
        yield opened


@pytest.fixture
async def distant(way: Network) -> AsyncIterator[Client]:
    """A client whose connections go through the proxy."""
    async with coredis.Redis.from_url(way.url, connect_timeout=0.5) as connected:
        yield connected


async def some(subscription: AsyncIterator[Any], count: int) -> list[Any]:
    return [await anext(subscription) for _ in range(count)]


async def until(condition: Any) -> None:
    while not condition():
        await anyio.sleep(0.005)


async def subscribers(client: Client, channel: str) -> int:
    return (await client.pubsub_numsub(channel))[channel.encode()]


async def test_channels_patterns_and_shard_channels(client: Client) -> None:
    async with subscribe(client, "news", b"more", patterns=["price.*"], shard_channels=["shard"]) as messages:
        assert await publish(client, "news", "1") == 1
        assert await publish(client, "more", b"\xff\x00") == 1
        assert await publish(client, "price.eur", "3") == 1
        assert await publish(client, "shard", "4", shard=True) == 1
        assert await publish(client, "other", "5") == 0
        assert await some(messages, 4) == [
            Message("news", b"1"),
            Message("more", b"\xff\x00"),
            Message("price.eur", b"3", "price.*"),
            Message("shard", b"4"),
        ]
        assert messages.connected and (messages.received, messages.dropped, messages.reconnects) == (4, 0, 0)


async def test_names_that_are_no_text(client: Client) -> None:
    async with subscribe(client, b"\xff\xfe") as messages:
        await publish(client, b"\xff\xfe", "x")
        message = await anext(messages)
        assert message.channel.encode("utf-8", "surrogateescape") == b"\xff\xfe"
        await messages.remove(message.channel)
        assert await publish(client, b"\xff\xfe", "x") == 0


async def test_a_client_that_decodes_changes_nothing(server_url: str) -> None:
    async with (
        coredis.Redis.from_url(server_url, decode_responses=True) as client,
        subscribe(client, "news") as messages,
    ):
        await publish(client, "news", b"\xff")
        assert await anext(messages) == Message("news", b"\xff")


async def test_many_are_published_in_one_go_and_arrive_in_order(client: Client) -> None:
    async with subscribe(client, "news", size=5000) as messages:
        assert await publish_many(client, [("news", str(n)) for n in range(3000)]) == [1] * 3000
        assert [int(message.text) for message in await some(messages, 3000)] == list(range(3000))


async def test_the_block_ends_the_subscription_and_takes_nothing_from_the_pool(server_url: str) -> None:
    async with coredis.Redis.from_url(server_url, max_connections=1) as client:
        for _ in range(5):
            async with subscribe(client, "news"):
                assert await subscribers(client, "news") == 1
            while await subscribers(client, "news"):
                await anyio.sleep(0.005)


async def test_an_error_in_the_block_comes_out_as_it_is(client: Client) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with subscribe(client, "news"):
            raise KeyError("mine")


async def test_cancelling_ends_it(client: Client) -> None:
    with anyio.move_on_after(0.05) as scope:
        async with subscribe(client, "news") as messages:
            await anext(messages)
    assert scope.cancelled_caught


async def test_cancelling_anywhere_ends_it_quietly(client: Client) -> None:
    async def serve() -> None:
        async with subscribe(client, "news") as messages:
            await messages.add("more")
            async for _ in messages:
                await messages.remove("more")

    for steps in range(0, 60, 2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            for _ in range(steps):
                await checkpoint()
            await publish(client, "news", "x")
            tasks.cancel_scope.cancel()
    while await subscribers(client, "news"):
        await anyio.sleep(0.005)


async def test_adding_and_removing(client: Client) -> None:
    async with subscribe(client, "a") as messages:
        await messages.add("a", "b", patterns=["p*"], shard_channels=["s"])
        assert [await publish(client, "b", "1"), await publish(client, "p1", "2")] == [1, 1]
        assert await publish(client, "s", "3", shard=True) == 1
        await messages.remove("a", "never", patterns=["p*"], shard_channels=["s"])
        assert [await publish(client, "a", "-"), await publish(client, "p1", "-")] == [0, 0]
        assert await publish(client, "s", "-", shard=True) == 0
        assert [message.data for message in await some(messages, 3)] == [b"1", b"2", b"3"]


async def test_a_slow_service_gets_the_latest_and_is_told(client: Client) -> None:
    async with subscribe(client, "news", size=10) as messages:
        await publish_many(client, [("news", str(n)) for n in range(100)])
        await until(lambda: messages.received == 100)
        assert (messages.dropped, messages.waiting) == (90, 10)
        events = messages.events()
        assert await anext(events) == Gap(Reason.OVERFLOW, 90)
        assert [int(message.data) for message in await some(events, 10)] == list(range(90, 100))


async def test_a_slow_service_can_have_the_latest_of_each_key(client: Client) -> None:
    async with subscribe(client, patterns=["price.*"], conflate=lambda message: message.channel) as messages:
        await publish_many(client, [(f"price.{n % 3}", str(n)) for n in range(99)])
        await until(lambda: messages.received == 99)
        assert [message.text for message in await some(messages, 3)] == ["96", "97", "98"]
        assert (messages.conflated, messages.dropped) == (96, 0)


async def test_a_slow_service_can_have_an_error(client: Client) -> None:
    async with subscribe(client, "news", size=3, when_full=WhenFull.ERROR) as messages:
        await publish_many(client, [("news", str(n)) for n in range(10)])
        while await subscribers(client, "news"):
            await anyio.sleep(0.005)
        assert [message.text for message in await some(messages, 3)] == ["0", "1", "2"]
        with pytest.raises(SlowConsumerError):
            await anext(messages)
        assert not messages.connected


async def test_what_the_conflate_function_raises_reaches_the_owner(client: Client) -> None:
    async with subscribe(client, "news", conflate=lambda message: int(message.data)) as messages:
        await publish(client, "news", "no number")
        with pytest.raises(ValueError, match="no number"):
            await anext(messages)


@pytest.mark.parametrize("error", [SystemExit, ConnectionResetError])
async def test_it_is_no_lost_connection_and_no_end_of_the_program(client: Client, error: type[BaseException]) -> None:
    def fail(message: Message) -> str:
        raise error("no key")

    async with subscribe(client, "news", conflate=fail) as messages:
        await publish(client, "news", "x")
        with anyio.fail_after(60), pytest.raises(error, match="no key"):
            await anext(messages)


async def test_a_lost_connection_comes_back_with_everything_and_a_gap(
    client: Client, way: Network, distant: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "consumers")
    async with subscribe(distant, "a", patterns=["p*"], shard_channels=["s"], reconnect=QUICK) as messages:
        await messages.add("later")
        await publish(client, "a", "before")
        await until(lambda: messages.received)
        await way.cut()
        await until(lambda: messages.reconnects == 1)
        for channel in ("a", "p1", "later"):
            assert await publish(client, channel, channel) == 1
        assert await publish(client, "s", "s", shard=True) == 1
        before, gap, *after = await some(messages.events(), 6)
    assert before == Message("a", b"before")
    assert isinstance(gap, Gap) and gap.reason is Reason.RECONNECTED and gap.missing is None and gap.seconds > 0
    assert [message.data for message in after] == [b"a", b"p1", b"later", b"s"]
    assert [record.levelname for record in caplog.records if record.name == "consumers.fanout"] == ["WARNING", "INFO"]


async def test_names_changed_while_disconnected_count_afterwards(client: Client, way: Network, distant: Client) -> None:
    async with subscribe(distant, "a", "b", reconnect=QUICK) as messages:
        way.refuse = True
        await way.cut()
        await until(lambda: not messages.connected)
        await messages.add("c")
        await messages.remove("a")
        way.refuse = False
        await until(lambda: messages.connected)
        assert [await publish(client, channel, "x") for channel in "abc"] == [0, 1, 1]


async def test_a_server_that_says_nothing_any_more_counts_as_lost(
    client: Client, way: Network, distant: Client
) -> None:
    async with subscribe(distant, "news", reconnect=QUICK, heartbeat=0.1) as messages:
        way.swallow_replies = True
        await until(lambda: not messages.connected)
        way.swallow_replies = False
        await until(lambda: messages.connected)
        await publish(client, "news", "x")
        assert (await anext(messages)).data == b"x"


async def test_a_quiet_connection_that_lives_stays(client: Client) -> None:
    async with subscribe(client, "news", heartbeat=0.02) as messages:
        await anyio.sleep(0.3)
        assert messages.reconnects == 0 and messages.connected


async def test_the_first_connection_has_to_succeed(way: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "coredis")
    way.refuse = True
    async with coredis.Redis.from_url(way.url) as client:
        with pytest.raises(coredis.exceptions.ConnectionError):
            async with subscribe(client, "news"):
                pass


async def test_a_name_that_is_refused_is_told(client: Client, server_url: str) -> None:
    if await limited_user(client):
        pytest.skip("the server has no ACL yet")
    async with coredis.Redis.from_url(server_url, username="limited", password="p") as limited:
        with pytest.raises(coredis.exceptions.AuthorizationError):
            async with subscribe(limited, "secret"):
                pass
        async with subscribe(limited, "open.a") as messages:
            with pytest.raises(coredis.exceptions.AuthorizationError):
                await messages.add("secret")
            await messages.add("open.b")
            await publish(client, "open.b", "x")
            assert (await anext(messages)).channel == "open.b"
            await client.acl_deluser(["limited"])
            with pytest.raises(coredis.exceptions.AuthenticationError):
                await anext(messages)


async def limited_user(client: Client) -> bool:
    """Make a user that may subscribe to open.* only; True where the server can't."""
    try:
        await client.acl_setuser("limited", "on", ">p", "+@all", "~*", "&open.*")
    except coredis.exceptions.ResponseError:
        return True
    return False


async def test_several_names_must_be_several(client: Client) -> None:
    with pytest.raises(TypeError, match="expected several names"):
        async with subscribe(client, patterns="news.*"):
            pass


async def test_several_tasks_share_the_messages(client: Client) -> None:
    got: list[str] = []

    async def work(messages: Subscription) -> None:
        async for message in messages:
            got.append(message.text)

    async with subscribe(client, "news") as messages, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work, messages)
        await publish_many(client, [("news", str(n)) for n in range(30)])
        await until(lambda: len(got) == 30)
        tasks.cancel_scope.cancel()
    assert sorted(map(int, got)) == list(range(30))


async def test_a_flood_is_read_as_fast_as_it_comes(client: Client) -> None:
    """What has been read and not been put into the buffer yet is one read's worth, not the whole flood."""
    most = 0
    async with subscribe(client, "flood", size=100) as messages, anyio.create_task_group() as tasks:
        pushes = messages._links[0].connection._push_message_buffer_out

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, pushes.statistics().current_buffer_used)
                await checkpoint()

        tasks.start_soon(watch)
        for _ in range(10):
            await publish_many(client, [("flood", b"x" * 100)] * 2000)
        await until(lambda: messages.received == 20_000)
        tasks.cancel_scope.cancel()
    assert messages.dropped == 20_000 - 100
    assert most < 2000


async def test_under_a_clock_that_jumps(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_broker(clock=TrioClock()) as server,
        in_process.client(server) as client,
        subscribe(client, "news") as messages,
    ):
        await anyio.sleep(3600)
        await publish(client, "news", "x")
        assert await anext(messages) == Message("news", b"x")
        assert messages.reconnects == 0
