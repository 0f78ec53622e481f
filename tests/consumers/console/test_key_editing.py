"""Changes of keys: what a user has not seen is never overwritten."""

from typing import Any

import coredis
import pytest
from coredis.exceptions import RedisError

from consumers.console.key_editing import ABSENT, FIRST, LAST, Stale, digest, element, put, remove

Client = coredis.Redis[bytes]
KEY = b"\xff<key>"


async def seen(client: Client, type: str, name: bytes) -> str:
    return digest(await element(client, KEY, type, name))


async def test_a_string_keeps_its_time_to_live(client: Client) -> None:
    await client.set(KEY, "old", ex=1000)
    await put(client, KEY, "string", b"", b"new\x00", await seen(client, "string", b""))
    assert await client.get(KEY) == b"new\x00"
    assert await client.ttl(KEY) > 0


async def test_elements_of_each_type_are_set_and_removed(client: Client) -> None:
    await client.hset(KEY, {"a": "1"})
    await put(client, KEY, "hash", b"a", b"2", await seen(client, "hash", b"a"))
    await put(client, KEY, "hash", b"b\xff", b"3", ABSENT)
    assert await client.hgetall(KEY) == {b"a": b"2", b"b\xff": b"3"}
    await remove(client, KEY, "hash", b"a", await seen(client, "hash", b"a"))
    assert await client.hgetall(KEY) == {b"b\xff": b"3"}
    await client.delete([KEY])
    await client.sadd(KEY, {"a"})
    await put(client, KEY, "set", b"b", b"", ABSENT)
    await remove(client, KEY, "set", b"a", await seen(client, "set", b"a"))
    assert await client.smembers(KEY) == {b"b"}
    await client.delete([KEY])
    await client.zadd(KEY, {"a": 1})
    await put(client, KEY, "zset", b"a", b"2.5", await seen(client, "zset", b"a"))
    await put(client, KEY, "zset", b"b", b"3", ABSENT)
    assert await client.zscore(KEY, "a") == 2.5
    await remove(client, KEY, "zset", b"a", await seen(client, "zset", b"a"))
    assert await client.zcard(KEY) == 1


async def test_a_list(client: Client) -> None:
    await client.rpush(KEY, ["same", "same", "same"])
    await put(client, KEY, "list", b"1", b"other", await seen(client, "list", b"1"))
    await put(client, KEY, "list", FIRST, b"f", ABSENT)
    await put(client, KEY, "list", LAST, b"l", ABSENT)
    assert await client.lrange(KEY, 0, -1) == [b"f", b"same", b"other", b"same", b"l"]
    await remove(client, KEY, "list", b"3", await seen(client, "list", b"3"))
    assert await client.lrange(KEY, 0, -1) == [b"f", b"same", b"other", b"l"]
    with pytest.raises(Stale, match="no such element"):
        await put(client, KEY, "list", b"-1", b"x", ABSENT)


async def test_a_field_keeps_its_time_to_live(client: Client, server_kind: str) -> None:
    if server_kind == "redis-older":
        pytest.skip("fields expire since 7.4")
    await client.hset(KEY, {"a": "1"})
    await client.hpexpire(KEY, 90_000, ["a"])
    await put(client, KEY, "hash", b"a", b"2", await seen(client, "hash", b"a"))
    (left,) = await client.hpttl(KEY, ["a"])
    assert await client.hget(KEY, "a") == b"2" and 0 < left <= 90_000


@pytest.mark.parametrize(
    ("type", "name", "value"), [("hash", b"a", b"2"), ("list", b"0", b"2"), ("zset", b"a", b"2"), ("string", b"", b"2")]
)
async def test_what_has_changed_meanwhile_stays(client: Client, type: str, name: bytes, value: bytes) -> None:
    fill: dict[str, Any] = {
        "hash": lambda n: client.hset(KEY, {"a": str(n)}), "list": lambda n: client.lpush(KEY, [str(n)]),
        "zset": lambda n: client.zadd(KEY, {"a": n}), "string": lambda n: client.set(KEY, str(n)),
    }  # fmt: skip
    await fill[type](1)
    before = await seen(client, type, name)
    await fill[type](5)
    after = await element(client, KEY, type, name)
    with pytest.raises(Stale, match="changed meanwhile"):
        await put(client, KEY, type, name, value, before)
    if type != "string":
        with pytest.raises(Stale, match="changed meanwhile"):
            await remove(client, KEY, type, name, before)
    assert await element(client, KEY, type, name) == after


async def test_other_refusals(client: Client) -> None:
    with pytest.raises(Stale, match="no such hash any more"):
        await put(client, KEY, "hash", b"a", b"1", ABSENT)
    await client.hset(KEY, {"a": "1"})
    with pytest.raises(Stale, match="such an element already"):
        await put(client, KEY, "hash", b"a", b"2", ABSENT)
    with pytest.raises(Stale, match="such a key already"):
        await put(client, KEY, "set", b"a", b"", ABSENT, new=True)
    with pytest.raises(Stale, match="can't be changed here"):
        await put(client, KEY, "stream", b"a", b"", ABSENT)
    await put(client, b"new", "zset", b"a", b"7", ABSENT, new=True)
    assert await client.zscore("new", "a") == 7
    with pytest.raises(RedisError, match="float"):
        await put(client, b"new", "zset", b"b", b"seven", ABSENT)
