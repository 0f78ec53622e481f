"""DUMP and RESTORE: effects, deadlines, due fields. What they answer is compared in tests/oracle/test_dump.py."""

import pytest
import trio

from broker.process.clock import TrioClock
from tests.broker.effects import contents, journal, lines, replay
from tests.broker.inprocess import running
from tests.broker.persistence.payloads import HAND_MADE, sealed

NOW = 1_700_000_000_000
HELLO = sealed(b"\0\5hello")


def _due(*deadlines: int) -> bytes:
    """A hash whose fields a, b, ... have these deadlines; 0 is none."""
    body = b"".join(
        (b"\x81" + deadline.to_bytes(8, "big") if deadline else b"\0") + b"\1%c\1v" % (97 + n)
        for n, deadline in enumerate(deadlines)
    )
    return sealed(b"\x16%c" % len(deadlines) + body, 12)


@pytest.mark.parametrize(
    ("words", "effects"),
    [
        (["RESTORE", "k", "0", HELLO], [[b"RESTORE", b"k", b"0", HELLO]]),
        (
            ["RESTORE", "k", "5000", HELLO, "REPLACE"],
            [[b"RESTORE", b"k", b"%d" % (NOW + 5000), HELLO, b"REPLACE", b"ABSTTL"]],
        ),
        (
            ["RESTORE", "old", f"{NOW + 1}", HELLO, "REPLACE", "ABSTTL"],
            [[b"RESTORE", b"old", b"%d" % (NOW + 1), HELLO, b"REPLACE", b"ABSTTL"]],
        ),
        (["RESTORE", "old", f"{NOW}", HELLO, "REPLACE", "ABSTTL"], [[b"DEL", b"old"]]),
        (["RESTORE", "k", f"{NOW}", HELLO, "REPLACE", "ABSTTL"], []),
        (["RESTORE", "old", "0", HELLO], []),
        (["RESTORE", "k", "0", HELLO[:-1]], []),
        (["DUMP", "old"], []),
    ],
)
async def test_effects(words: list[str | bytes], effects: list[list[bytes]], autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker, running(clock=TrioClock(NOW)) as copy:
        client = await broker.client()
        seen = journal(broker.broker)
        await client.call("SET old v")
        await client.call(*words)
        assert [command for _, command in seen[1:]] == effects
        await replay(seen, copy)
        assert contents(broker.broker) == contents(copy.broker)


async def test_what_is_restored_expires(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        assert await client.call("RESTORE", "k", "1500", HELLO) == b"+OK\r\n"
        await trio.sleep(1.4)
        assert await client.call("GET k") == b"$5\r\nhello\r\n"
        await trio.sleep(0.2)
        assert await client.call("GET k") == b"$-1\r\n"


async def test_fields_expire(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("RESTORE", "h", "0", _due(NOW + 1500, 0))
        assert await client.call("HLEN h") == b":2\r\n"
        await trio.sleep(1.6)
        assert await client.call("HKEYS h") == b"*1\r\n$1\r\nb\r\n"


async def test_due_fields_are_gone_at_once(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        seen = journal(broker.broker)
        await client.call("MULTI")
        await client.call("RESTORE", "h", "0", _due(NOW - 5, 0, NOW + 5))
        await client.call("HKEYS h")
        await client.call("RESTORE", "gone", "0", _due(NOW - 5))
        await client.call("EXISTS gone")
        reply = await client.call("EXEC")
        assert reply == b"*4\r\n+OK\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n+OK\r\n:0\r\n"
        assert [b"HDEL", b"h", b"a"] in [command for _, command in seen]


async def test_iids_that_are_too_old_are_dropped(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("XADD s IDMP p old * f v")
        await trio.sleep(90)
        await client.call("XADD s IDMP p new * f v")
        await trio.sleep(20)
        await client.call("COPY s t")
        payload = await client.call("DUMP s")
        await client.call("RESTORE", "r", "0", payload.split(b"\r\n", 1)[1][:-2])
        assert b"iids-tracked\r\n:1\r\n" in await client.call("XINFO STREAM r")


async def test_every_directive_of_the_configuration_counts() -> None:
    directives = {"rdbcompression": "no", "hash-max-listpack-entries": "1"}
    async with running(directives) as plain, running() as usual:
        sizes = []
        for broker in (plain, usual):
            client = await broker.client()
            await client.call("SET k " + "a" * 1000)
            await client.call("HSET h a 1 b 2")
            sizes.append(len(await client.call("DUMP k")))
            hash_type = (await client.call("DUMP h")).split(b"\r\n", 1)[1][0]
            assert hash_type == (4 if broker is plain else 16)
        assert sizes[0] > 1000 > 50 > sizes[1]


async def test_a_bad_payload_is_logged_with_its_place() -> None:
    async with running() as broker:
        client = await broker.client()
        reply = await client.call("RESTORE", "k", "0", sealed(b"\0\x3fhello"))
        assert reply == b"-ERR Bad data format\r\n"
        for payload in HAND_MADE.values():
            assert await client.call("RESTORE", "k", "0", payload, "REPLACE") == b"+OK\r\n"


@pytest.mark.parametrize(
    ("setup", "words", "effects"),
    [
        ("", ["0", _due(NOW + 1500, 0)], ["HMSET k a v b v", f"HPEXPIREAT k {NOW + 1500} FIELDS 1 a"]),
        (
            "SET k v",
            [f"{NOW + 50}", _due(NOW + 1500, NOW + 1500), "ABSTTL", "REPLACE", "FREQ", "5"],
            ["DEL k", "HMSET k a v b v", f"HPEXPIREAT k {NOW + 1500} FIELDS 2 a b", f"PEXPIREAT k {NOW + 50}"],
        ),
        ("", ["0", _due(NOW - 5, NOW + 5)], ["HDEL k a", "HMSET k b v", f"HPEXPIREAT k {NOW + 5} FIELDS 1 b"]),
        ("", ["0", _due(NOW - 5)], ["HDEL k a"]),
        ("SET k v", ["0", _due(NOW - 5), "REPLACE"], ["HDEL k a", "DEL k"]),
    ],
)
async def test_hashes_whose_fields_expire_propagate_as_commands(
    setup: str, words: list[str | bytes], effects: list[str], autojump_clock: object
) -> None:
    async with running(clock=TrioClock(NOW)) as broker, running(clock=TrioClock(NOW)) as copy:
        client, other = await broker.client(), await copy.client()
        for one in (client, other) if setup else ():
            await one.call(setup)
        seen = journal(broker.broker)
        assert await client.call("RESTORE", "k", *words) == b"+OK\r\n"
        assert lines(seen) == effects
        if b"HDEL" not in seen[0][1] or not setup:
            await replay(seen, copy)
            assert contents(broker.broker) == contents(copy.broker)


async def test_payloads_of_streams_propagate_as_7_0_reads_them(autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        for line in ("XADD x 1 f v", "XGROUP CREATE x g $", "XREADGROUP GROUP g c STREAMS x >"):
            await client.call(line)
        payload = (await client.call("DUMP x")).split(b"\r\n", 1)[1][:-2]
        assert payload[-10:-8] == b"\x0b\0"
        seen = journal(broker.broker)
        await client.call("RESTORE", "y", "0", payload)
        [(_, effect)] = seen
        assert effect[0] == b"RESTORE" and effect[3][:1] == b"\x13" and effect[3][-10:-8] == b"\x0a\0"
