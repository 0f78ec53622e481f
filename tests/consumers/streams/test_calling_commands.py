"""Calls between this library and clients that do their part themselves, with XCALL and XREPLY or without."""

from typing import Any

import anyio
import pytest
from coredis.exceptions import RedisError

from consumers.connection import open_link
from consumers.replies import VALUE, reply_command
from consumers.streams import Consumer, DeadLettered, Message, Producer, Reject
from tests.consumers.streams.running import Client, entries_of, running

pytestmark = pytest.mark.both_loops
extended = pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)


async def send(client: Client, *words: str | bytes | int) -> Any:
    """Return the reply to one command, on a connection of its own."""
    async with open_link(client, "sums") as link:
        (reply,) = await link.execute([words])
    return reply


@extended
async def test_a_client_that_sends_xcall(client: Client) -> None:
    async def handler(message: Message) -> None:
        if "die" in message.data:
            raise Reject("never\nagain")
        await message.reply(int(message.data["n"]) + 1)

    async with running(Consumer(client, stream="sums", group="adders", dead_letter="dead"), handler):
        assert (await send(client, "XCALL", 9000, "sums", "*", "n", 41))[1] == b"42"
        died = await send(client, "XCALL", 9000, "sums", "*", "die", 1)
        assert isinstance(died, RedisError) and str(died) == "DEADLETTER never again"


@extended
async def test_a_client_that_sends_xreply(client: Client) -> None:
    await client.xgroup_create("sums", "adders", identifier="0", mkstream=True)

    async def answer() -> None:
        read = await send(client, "XREADGROUP", "GROUP", "adders", "a", "BLOCK", 5000, "STREAMS", "sums", ">")
        ((id, fields),) = read[b"sums"]
        # nothing is added to the entry for a server that knows its caller
        assert fields == [b"n", b"1"]
        assert await send(client, "XREPLY", "sums", "adders", id, "7") == 1

    async with Producer(client, "sums") as sums, anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        assert await sums.call({"n": 1}) == "7"


@extended
async def test_an_entry_that_dies_under_a_policy(client: Client) -> None:
    await client.xgroup_create("sums", "adders", identifier="0", mkstream=True)
    await send(client, "XGROUP", "CFGSET", "sums", "adders", "ACKWAIT", 50, "MAXDELIVER", 1, "DEADLETTER", "dead")

    async def take() -> None:
        await send(client, "XREADGROUP", "GROUP", "adders", "a", "BLOCK", 5000, "STREAMS", "sums", ">")

    async with Producer(client, "sums") as sums, anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        with pytest.raises(DeadLettered, match="not acknowledged after 1 deliveries"):
            await sums.call({"n": 1})


async def test_a_worker_that_has_only_plain_commands(client: Client) -> None:
    await client.xgroup_create("sums", "adders", identifier="0", mkstream=True)

    async def answer() -> None:
        read = await send(client, "XREADGROUP", "GROUP", "adders", "a", "BLOCK", 5000, "STREAMS", "sums", ">")
        ((id, fields),) = read[b"sums"]
        token = fields[fields.index(b"reply-token") + 1]
        async with open_link(client, "sums") as link:
            reply = reply_command("sums", token, VALUE, b"7")
            _, answered = await link.transaction([(b"XACK", "sums", "adders", id), reply])
            assert answered
            while await client.exists([reply[1]]):  # type: ignore[list-item]
                await anyio.sleep(0.005)
            _, answered = await link.transaction([(b"XACK", "sums", "adders", id), reply])
            assert answered is None

    async with Producer(client, "sums") as sums, anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        assert await sums.call({"n": 1}) == "7"
    assert len(await entries_of(client, "sums")) == 1
