"""Transactions that look before they act."""

import anyio
import coredis
import pytest
from coredis.exceptions import ConnectionError, RedisError

from consumers.connection import Command, open_link
from consumers.transactions import Ask, Changed, Transactions

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_rivals_take_turns(client: Client) -> None:
    looks = 0

    async def raise_by_one(transactions: Transactions) -> None:
        async def decide(ask: Ask) -> tuple[list[Command], int]:
            nonlocal looks
            looks += 1
            (value,) = await ask([(b"GET", "n")])
            await ask([(b"PING",)])
            return [(b"SET", "n", int(value or 0) + 1)], int(value or 0) + 1

        for _ in range(20):
            await transactions.run(["n"], decide)

    async with open_link(client, "n") as one, open_link(client, "n") as two, anyio.create_task_group() as tasks:
        for link in (one, two):
            transactions = Transactions(link)
            tasks.start_soon(raise_by_one, transactions)
            tasks.start_soon(raise_by_one, transactions)
    assert await client.get("n") == b"80" and looks >= 80


async def test_nothing_is_done_and_nothing_stays_watched_when_nothing_is_chosen(client: Client) -> None:
    async def look(ask: Ask) -> tuple[list[Command], bytes]:
        (value,) = await ask([(b"GET", "n")])
        return [], value

    async def write(ask: Ask) -> tuple[list[Command], None]:
        return [(b"SET", "m", "1")], None

    async with open_link(client, "n") as link:
        transactions = Transactions(link)
        await client.set("n", "1")
        assert await transactions.run(["n"], look) == b"1"
        await client.set("n", "2")
        await transactions.run([], write)
    assert await client.get("m") == b"1"


async def test_a_decision_that_sees_a_change_is_made_again(client: Client) -> None:
    asked = 0

    async def decide(ask: Ask) -> tuple[list[Command], int]:
        nonlocal asked
        asked += 1
        (first,) = await ask([(b"GET", "n")])
        if asked < 3:
            await client.incr("n")
        (second,) = await ask([(b"GET", "n")])
        if first != second:
            raise Changed
        return [(b"SET", "m", second)], int(second)

    async with open_link(client, "n") as link:
        assert await Transactions(link).run(["n"], decide) == 2
    assert await client.get("m") == b"2" and asked == 3


async def test_nothing_is_done_once_the_watching_connection_is_lost(client: Client) -> None:
    await client.set("n", "1")
    asked = 0

    async def decide(ask: Ask) -> tuple[list[Command], None]:
        nonlocal asked
        asked += 1
        (value,) = await ask([(b"GET", "n")])
        if asked == 1:
            # a rival is faster, and the link can connect again before it goes on
            await client.set("n", "5")
            me = await client.client_id()
            for other in await client.client_list():
                if int(other["id"]) != me:
                    await client.client_kill(identifier=int(other["id"]))
            await anyio.sleep(0.05)
            await ask([(b"PING",)])
        return [(b"SET", "n", int(value) + 1)], None

    async with open_link(client, "n") as link:
        transactions = Transactions(link)
        with pytest.raises(ConnectionError):
            await transactions.run(["n"], decide)
        assert await client.get("n") == b"5"
        await transactions.run(["n"], decide)
    assert await client.get("n") == b"6" and asked == 2


async def test_refusals_are_raised(client: Client) -> None:
    await client.set("text", "x")

    async def bad_question(ask: Ask) -> tuple[list[Command], None]:
        await ask([(b"LLEN", "text")])
        return [], None

    async def bad_command(ask: Ask) -> tuple[list[Command], None]:
        return [(b"LPUSH", "text", "1")], None

    async def no_command(ask: Ask) -> tuple[list[Command], None]:
        return [(b"LPUSH", "text")], None

    async with open_link(client, "n") as link:
        transactions = Transactions(link)
        for decide in (bad_question, bad_command, no_command):
            with pytest.raises(RedisError, match=r"wrong"):
                await transactions.run(["text"], decide)
