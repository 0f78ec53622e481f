"""Commands in round trips of bounded size."""

import coredis
import pytest
from coredis.exceptions import AuthorizationError, ConnectionError, RedisError, WrongTypeError

from consumers.connecting import Command
from consumers.console import asking
from consumers.console.asking import (
    ask,
    ask_node,
    encoded,
    has_command,
    integer,
    known,
    nodes,
    pairs,
    sliced,
    text,
    transaction,
)
from consumers.transactions import Ask

Client = coredis.Redis[bytes]


async def test_many_commands_are_answered_in_order(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BATCH", 7)
    await ask(client, [(b"SET", f"key {n}", n) for n in range(50)])
    assert await ask(client, [(b"GET", f"key {n}") for n in range(50)]) == [b"%d" % n for n in range(50)]
    assert await ask(client, []) == []
    assert nodes(client) == [None]


async def test_what_a_server_lacks_is_known(client: Client) -> None:
    assert await has_command(client, b"GETRANGE") and not await has_command(client, b"NOSUCH")


async def test_keys_of_another_type_count_as_none(client: Client) -> None:
    await client.set("text", "x")
    wrong, missing, right = await ask(client, [(b"LLEN", "text"), (b"LLEN", "none"), (b"STRLEN", "text")])
    assert isinstance(wrong, WrongTypeError)
    assert (integer(wrong), integer(missing), integer(right)) == (0, 0, 1)
    assert known(wrong) is None and known(b"x") == b"x"
    (refused,) = await ask(client, [(b"INCR", "text")])
    with pytest.raises(RedisError):
        known(refused)
    with pytest.raises(AuthorizationError):
        integer(AuthorizationError("no"))


async def test_a_lost_connection_is_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost() -> list[object]:
        return [b"x", ConnectionError("gone")]

    monkeypatch.setattr(asking, "send_batch", lambda connection, commands, limit: lost())
    with pytest.raises(ConnectionError, match="connection lost: gone"):
        await ask(client, [(b"GET", "x"), (b"GET", "y")])


async def test_large_elements_come_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    values = [bytes(100)] * 35

    async def read(offset: int, count: int) -> list[bytes]:
        asked.append((offset, count))
        return values[offset : offset + count]

    assert await sliced(25, len, read) == values[:25]
    assert asked == [(0, 10), (10, 10), (20, 5)]
    assert await sliced(100, len, read) == values
    monkeypatch.setattr(asking, "BYTES", 1500)
    assert len(await sliced(100, len, read)) == 20


def test_bytes_as_text() -> None:
    assert (text(b"a\xff"), text("b"), text(None)) == ("a\udcff", "b", "")


async def test_a_transaction_decides_again_after_a_change(client: Client) -> None:
    tries = 0

    async def decide(query: Ask) -> tuple[list[Command], int]:
        nonlocal tries
        tries += 1
        (count,) = await query([(b"LLEN", "list")])
        if tries == 1:
            await client.rpush("list", ["x"])
        return [(b"DEL", "list")], count

    assert await transaction(client, ["list"], decide) == 1 and tries == 2
    assert not await client.exists(["list"])


def test_a_map_may_be_a_list() -> None:
    assert pairs([b"a", 1, b"b", [2]]) == pairs({b"a": 1, b"b": [2]}) == {b"a": 1, b"b": [2]}


async def test_bytes_that_are_no_text_survive_as_text(client: Client) -> None:
    key = text(b"a\xff")
    assert encoded(key) == b"a\xff" and encoded("\ud800") == b"?"

    async def decide(query: Ask) -> tuple[list[Command], str]:
        (found,) = await query([(b"GET", key)])
        return [(b"SET", key, "\ud800")], text(found)

    assert await ask(client, [(b"SET", key, key)]) == [b"OK"]
    assert await transaction(client, [key], decide) == key
    assert await ask_node(client, None, [(b"GET", key)]) == [b"?"] == [await client.get(b"a\xff")]
