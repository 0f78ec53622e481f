"""The link to the server: what it returns, what it raises, and that a cancelled read loses nothing."""

import asyncio
from typing import Any

import anyio
import coredis
import pytest
from anyio.lowlevel import checkpoint
from coredis.exceptions import (
    ConnectionError,
    ExecAbortError,
    ReadOnlyError,
    ResponseError,
    UnknownCommandError,
    WrongTypeError,
)

from consumers.connection import ask_any, client_slot, open_link
from tests.consumers.network import network
from tests.consumers.servers import in_process_broker
from tests.consumers.steps import at_step
from tests.consumers.streams.running import Client
from tests.oracle.servers import free_port

pytestmark = pytest.mark.both_loops

READ = (b"XREADGROUP", b"GROUP", "g", "c", b"BLOCK", 20000, b"STREAMS", "s", ">")


async def test_replies_come_in_order_and_errors_stand_in_their_places(client: Client) -> None:
    async with open_link(client, "s") as link:
        replies = await link.execute([(b"SET", "k", 1), (b"LPUSH", "k", "x"), (b"GET", "k")])
        assert replies[0] == b"OK" and isinstance(replies[1], WrongTypeError) and replies[2] == b"1"


async def test_no_commands_have_no_replies_and_leave_the_connection_in_use(client: Client, server_url: str) -> None:
    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, open_link(far, "s") as link:
        assert await link.execute([]) == [] and between.connections == 0
        _, node = await link.watch(["k"], [])
        assert await link.execute_watched(node, []) == []
        assert await link.execute([(b"PING",)]) == [b"PONG"] and await link.transaction([]) == []
        assert between.connections == 1
        assert await ask_any(far, []) == [] and await ask_any(far, [(b"PING",)]) == [b"PONG"]
        assert between.connections == 2


async def test_a_transaction_is_executed_or_refused_as_a_whole(client: Client) -> None:
    async with open_link(client, "s") as link:
        assert await link.transaction([(b"INCR", "k"), (b"INCR", "k")]) == [1, 2]
        with pytest.raises((UnknownCommandError, ExecAbortError)):
            await link.transaction([(b"INCR", "k"), (b"NOSUCHCOMMAND", "k")])
        assert await link.execute([(b"GET", "k")]) == [b"2"]
        (_, wrong) = await link.transaction([(b"INCR", "k"), (b"LPUSH", "k", "x")])
        assert isinstance(wrong, WrongTypeError)


async def test_a_cancelled_read_ends_on_the_server_and_returns(client: Client) -> None:
    await client.xgroup_create("s", "g", "$", mkstream=True)
    async with open_link(client, "s") as link:
        with anyio.fail_after(20), anyio.move_on_after(0.2) as scope:
            assert await link.read(READ, limit=25) is None
            await checkpoint()
        assert scope.cancelled_caught
        # the connection was kept, and nothing waits on the server
        await client.xadd("s", {"n": "1"})
        pending: Any = await client.xpending("s", "g")
        assert pending.pending == 0
        assert (await link.read(READ, limit=25))[b"s"][0][1] == [b"n", b"1"]


async def test_what_was_delivered_at_the_moment_of_cancellation_is_returned(client: Client) -> None:
    await client.xgroup_create("s", "g", "$", mkstream=True)
    got: list[Any] = []
    async with open_link(client, "s") as link:
        # what takes long is connecting, and a cancellation then ends it with nothing
        await link.read((b"PING",))
        await link.execute([(b"PING",)])
        for _ in range(20):
            async with anyio.create_task_group() as tasks:

                async def read(scope: anyio.CancelScope) -> None:
                    with scope:
                        got.append(await link.read(READ, limit=25))

                scope = anyio.CancelScope()
                tasks.start_soon(read, scope)
                await anyio.sleep(0.01)
                await client.xadd("s", {"n": "1"})
                scope.cancel()
    delivered = sum(len(reply[b"s"]) for reply in got if reply)
    pending: Any = await client.xpending("s", "g")
    assert len(got) == 20 and delivered == pending.pending


async def test_wake_ends_a_blocked_read_and_does_nothing_else(client: Client) -> None:
    await client.xgroup_create("s", "g", "$", mkstream=True)
    got: list[Any] = []
    async with open_link(client, "s") as link:
        await link.wake()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:

                async def read() -> None:
                    got.append(await link.read(READ, limit=25))

                tasks.start_soon(read)
                await anyio.sleep(0.1)
                await link.wake()
        assert got == [None]


async def test_after_a_cut_the_next_command_has_a_new_connection(client: Client, server_url: str) -> None:
    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, open_link(far, "s") as link:
        await link.execute([(b"PING",)])
        await between.cut()
        await anyio.sleep(0.05)  # else it may show only in the next command
        assert await link.execute([(b"PING",)]) == [b"PONG"]
        assert between.connections == 2
        between.refuse = True
        await between.cut()
        with pytest.raises(ConnectionError):
            for _ in range(3):
                await link.execute([(b"PING",)])


async def test_a_server_that_does_not_answer_is_given_up(client: Client, server_url: str) -> None:
    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, open_link(far, "s") as link:
        await link.execute([(b"PING",)])
        between.swallow_replies = True
        with pytest.raises(TimeoutError):
            await link.execute([(b"PING",)], limit=0.2)
        between.swallow_replies = False
        assert await link.execute([(b"PING",)]) == [b"PONG"]
        assert await link.read((b"PING",)) == b"PONG"
        between.swallow_replies = True
        with pytest.raises(TimeoutError):
            await link.read((b"PING",), limit=0.2)


@pytest.mark.parametrize("server_kind", ["broker"], indirect=True)  # no server has a part in this
async def test_a_server_that_does_not_answer_a_new_connection_is_given_up(client: Client, server_url: str) -> None:
    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, open_link(far, "s") as link:
        between.swallow_replies = True
        with pytest.raises((TimeoutError, ConnectionError)):
            await link.read((b"PING",), limit=0.2)


async def test_nothing_is_sent_twice(client: Client, server_url: str) -> None:
    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, open_link(far, "s") as link:
        await link.execute([(b"PING",)])
        between.swallow_replies = True
        with pytest.raises(ConnectionError):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cut_later, between)
                try:
                    await link.execute([(b"INCR", "k")])
                except ConnectionError as error:
                    caught = error
            raise caught
        assert await client.get("k") == b"1"


async def _cut_later(between: Any) -> None:
    await anyio.sleep(0.1)
    await between.cut()


async def test_a_refused_handshake_is_raised_as_what_it_is(client: Client, server_url: str) -> None:
    stranger = coredis.Redis.from_url(server_url, username="nobody", password="x")
    async with stranger, open_link(stranger, "s") as link:
        with pytest.raises(ResponseError):
            await link.execute([(b"PING",)])


@pytest.mark.trio_only(reason="its brokers run in the same program")
async def test_a_server_that_has_become_a_replica_is_left() -> None:
    async with (
        in_process_broker() as old,
        in_process_broker() as new,
        network(old) as between,
        coredis.Redis.from_url(old) as control,
        coredis.Redis.from_url(between.url) as far,
        open_link(far, "s") as link,
    ):
        assert await link.execute([(b"SET", b"k", b"1")]) == [b"OK"]
        assert await link.read((b"INCR", b"k")) == 2
        await control.replicaof("127.0.0.1", free_port())
        between.server = new
        (refusal,) = await link.execute([(b"SET", b"k", b"2")])
        assert isinstance(refusal, ReadOnlyError)
        assert await link.execute([(b"SET", b"k", b"3")]) == [b"OK"]
        assert isinstance(await link.read((b"INCR", b"k")), ReadOnlyError)
        assert await link.read((b"INCR", b"k")) == 4


async def test_outside_a_cluster_all_keys_go_together(client: Client) -> None:
    assert client_slot(client, "a") == client_slot(client, "b")


@pytest.mark.asyncio_only
async def test_a_task_that_asyncio_cancels_while_it_connects_ends(client: Client) -> None:
    async def connect() -> None:
        async with open_link(client, "s") as link:
            assert await link.execute([(b"PING",)]) == [b"PONG"]

    step, cancelled = 0, True
    while cancelled:
        step += 1
        task = asyncio.ensure_future(connect())
        with anyio.fail_after(20), at_step(step, task.cancel):
            await asyncio.wait([task])
        if not (cancelled := task.cancelled()):
            task.result()
    assert step > 20
