"""Keys and what is stored in them, in bounded parts."""

from dataclasses import replace

import coredis
import pytest

from consumers.console import keys as module
from consumers.console.keys import Element, bytes_of, elements, escaped, find, stored_key
from tests.consumers.clusters import started_cluster, two_nodes

Client = coredis.Redis[bytes]


async def test_keys_are_found_with_what_is_known_of_them(client: Client) -> None:
    await client.set(b"user:\xff", "x", ex=100)
    await client.rpush("user:list", ["a"])
    await client.set("other", "x")
    rows, after = await find(client, b"user:*", "", None, 100)
    assert after is None
    assert [(row.name, row.type) for row in rows] == [(b"user:list", "list"), (b"user:\xff", "string")]
    assert rows[0].ttl is None and rows[1].ttl is not None and 0 < rows[1].ttl <= 100
    assert all(row.size for row in rows)
    rows, _ = await find(client, b"*", "list", None, 100)
    assert [row.name for row in rows] == [b"user:list"]


async def test_a_text_is_no_pattern_once_it_is_escaped(client: Client) -> None:
    hostile = b"a*?[b-c]^\\\xff\n"
    await client.set(hostile, "x")
    await client.set(b"aXYb^\\\xff\n", "x")
    rows, _ = await find(client, escaped(hostile) + b"*", "", None, 100)
    assert [row.name for row in rows] == [hostile]


async def read_all(client: Client, name: str, limit: int) -> tuple[list[Element], int]:
    key = await stored_key(client, name.encode())
    assert key is not None
    found: list[Element] = []
    after, pages = None, 0
    while pages == 0 or after is not None:
        some, after = await elements(client, key, after, limit)
        assert len(some) < 900
        found += some
        pages += 1
    return found, pages


async def test_every_element_is_on_a_page(client: Client) -> None:
    texts = [f"{n:04}" for n in range(1000)]
    await client.rpush("list", texts)
    await client.sadd("set", texts)
    await client.zadd("zset", {text: n / 2 for n, text in enumerate(texts)})
    await client.hset("hash", {text: text * 2 for text in texts})
    every = [text.encode() for text in texts]
    found, pages = await read_all(client, "list", 300)
    assert [one.value for one in found] == every and [one.name for one in found[:2]] == [b"0", b"1"] and pages == 4
    found, _ = await read_all(client, "set", 300)
    assert {one.name for one in found} == set(every)
    found, pages = await read_all(client, "zset", 300)
    assert [one.name for one in found] == every and found[3].score == 1.5 and pages == 4
    found, _ = await read_all(client, "hash", 300)
    assert {one.name: one.value for one in found} == {one: one * 2 for one in every}


async def test_large_elements_make_short_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES", 4000)
    await client.rpush("list", ["x" * 1000] * 20)
    key = await stored_key(client, b"list")
    assert key is not None
    found, after = await elements(client, key, None, 100)
    assert 1 <= len(found) <= 4 and after == str(len(found))
    found, after = await elements(client, replace(key, size=10**9), "19", 100)
    assert len(found) == 1 and after is None
    for wrong in ("x", "-1", "9" * 30, "٣"):
        with pytest.raises(ValueError, match="position"):
            await elements(client, key, wrong, 100)


async def test_a_long_string_is_read_in_chunks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", 10)
    monkeypatch.setattr(module, "CHUNK", 4)
    await client.set("short", "0123456789")
    await client.set("long", "0123456789a")
    short, long = await stored_key(client, b"short"), await stored_key(client, b"long")
    assert short is not None and long is not None and long.length == 11
    assert await bytes_of(client, short, None) == (b"0123456789", None)
    assert await bytes_of(client, long, None) == (b"0123", 4)
    assert await bytes_of(client, long, 8) == (b"89a", None)
    assert await bytes_of(client, long, 99) == (b"", None)


async def test_a_field_may_expire(client: Client, server_kind: str) -> None:
    if server_kind == "redis-older":
        pytest.skip("fields expire since 7.4")
    await client.hset("hash", {"a": "1", "b": "2"})
    await client.hpexpire("hash", 90_000, ["a"])
    found, _ = await read_all(client, "hash", 100)
    ttls = {one.name: one.ttl for one in found}
    assert ttls[b"b"] is None and 0 < (ttls[b"a"] or 0) <= 90


async def test_no_key(client: Client) -> None:
    assert await stored_key(client, b"nosuch") is None


async def test_a_cluster() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes) as cluster:
            for n in range(20):
                await cluster.set(f"key {n}", "x")
            found, after = [], None
            while True:
                rows, after = await find(cluster, b"key *", "", after, 5)
                found += rows
                if after is None:
                    break
            assert {row.name for row in found} == {b"key %d" % n for n in range(20)}
            assert all(row.size and row.type == "string" for row in found)
            key = await stored_key(cluster, b"key 7")
            assert key is not None and key.encoding == "embstr"
