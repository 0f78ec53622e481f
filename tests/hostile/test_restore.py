"""RESTORE of payloads that lie: every one is a sane value or bad data, in bounded time and memory, and nothing else."""

import random
import tracemalloc
from collections.abc import Callable

import pytest

from broker.formats.packed import lzf
from broker.formats.rdb import dump_payload
from broker.formats.rdb.dump_payload import BadFooter, BadFormat, dump, restore
from broker.values import listpack
from tests.broker.persistence.payloads import BAD, HAND_MADE, WORSE, lzf_string, sealed, string, ziplist
from tests.broker.persistence.values_made import DIRECTIVES, Directives, all_values
from tests.oracle.servers import Server
from tests.oracle.wire import Connection

PLAIN = Directives(rdbcompression=False)
FOOTER = 10
UNCHECKED = b"\x0a\0" + b"\0" * 8

# Bytes with a meaning somewhere: forms of lengths, ends of blobs, flags, the edges of widths.
TELLING = b"\0\1\2\3\x0f\x3f\x40\x7f\x80\x81\x82\xbf\xc0\xc1\xc2\xc3\xe0\xf0\xf1\xf4\xfe\xff"
LIES = [b"\x81\x80" + b"\0" * 7, b"\x81" + b"\xff" * 8, b"\x80\xff\xff\xff\xff", b"\x80\x7f\xff\xff\xff", b"\x7f\xff",
        b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xc3\x80\x7f\xff\xff\xff"]  # fmt: skip


def _flip(body: bytearray, rng: random.Random) -> None:
    body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def _put(body: bytearray, rng: random.Random) -> None:
    body[rng.randrange(len(body))] = rng.choice(TELLING)


def _lie(body: bytearray, rng: random.Random) -> None:
    at = rng.randrange(1, len(body) + 1)
    lie = rng.choice(LIES)
    body[at : at + rng.choice((1, len(lie)))] = lie


def _cut(body: bytearray, rng: random.Random) -> None:
    del body[rng.randrange(1, len(body) + 1) :]


def _drop(body: bytearray, rng: random.Random) -> None:
    at = rng.randrange(1, len(body) + 1)
    del body[at : at + rng.randrange(1, 20)]


def _repeat(body: bytearray, rng: random.Random) -> None:
    at = rng.randrange(1, len(body) + 1)
    body[at:at] = body[at : at + rng.randrange(1, 40)] * rng.choice((1, 1, 5))


def _retype(body: bytearray, rng: random.Random) -> None:
    body[0] = rng.randrange(33)


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [_flip, _put, _lie, _cut, _drop, _repeat, _retype]


def mutated(payload: bytes, rng: random.Random) -> bytes:
    """The payload with one to three mutations and a right checksum."""
    body = bytearray(payload[:-FOOTER])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if body:
            rng.choice(MUTATIONS)(body, rng)
    return sealed(bytes(body), rng.choice((10, 12, 15, 80)))


def payloads() -> dict[str, bytes]:
    """What mutations start from: every value, compressed and not, and every payload made by hand."""
    found = {name: dump(value, DIRECTIVES) for name, value in all_values().items()}
    found |= {f"{name}, plain": dump(value, PLAIN) for name, value in all_values().items()}
    return found | HAND_MADE


@pytest.mark.parametrize(("name", "payload"), payloads().items(), ids=list(payloads()))
def test_mutations(name: str, payload: bytes) -> None:
    for seed in range(200 if len(payload) < 5000 else 40):
        hostile = mutated(payload, random.Random(f"{name} {seed}"))
        try:
            value = restore(hostile, DIRECTIVES)
        except (BadFooter, BadFormat):
            continue
        again = dump(value, DIRECTIVES)
        assert dump(restore(again, DIRECTIVES), DIRECTIVES) == again, (seed, hostile)


@pytest.mark.parametrize("name", HAND_MADE)
def test_every_truncation(name: str) -> None:
    body = HAND_MADE[name][:-FOOTER]
    for size in range(0, len(body), 1 + len(body) // 1000):
        try:
            restore(body[:size] + UNCHECKED, DIRECTIVES)
        except BadFormat:
            continue
        assert name == "followed by junk"


@pytest.mark.parametrize("payload", [*BAD.values(), *WORSE.values()], ids=[*BAD, *WORSE])
def test_bad_data(payload: bytes) -> None:
    with pytest.raises((BadFooter, BadFormat)):
        restore(payload, DIRECTIVES)


def _squeezed(blob: bytes) -> bytes:
    packed = lzf.compress(blob)
    assert packed is not None
    return lzf_string(packed, len(blob))


def _bomb(size: int) -> bytes:
    return _squeezed(b"\0" * size)


BOMBS = {
    "false size": b"\0" + lzf_string(b"\0a" + b"\xe0\xff\0" * 9, 1 << 40),
    "size past what compression can do": b"\0" + lzf_string(b"\0a" + b"\xe0\xff\0" * 9, 88 * 30),
    "many bombs": b"\x0e\x40\xff" + _bomb(200_000) * 255,
    "bombs in a list": b"\1\x40\xff" + _bomb(200_000) * 255,
    "listpacks": b"\x12\x14" + (b"\2" + _squeezed(listpack.encode([b"ab"] * 60_000))) * 20,
    "one listpack": b"\x12\1\2" + _squeezed(listpack.encode([b"ab"] * 65_000)),
    "ziplists": b"\x0e\x14" + _squeezed(ziplist(*[b"ab"] * 60_000, count=65535)) * 20,
    "elements that are not there": b"\2\x80\xff\xff\xff\xff" + string(b"a"),
    "nodes that are not there": b"\x13\x81" + b"\x7f" * 8,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What any payload is granted takes a second to fill, and far longer while memory is traced.
    monkeypatch.setattr(dump_payload, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(dump_payload, "MAX_ELEMENTS", 1 << 12)
    payload = sealed(BOMBS[name])
    tracemalloc.start()
    try:
        with pytest.raises(BadFormat):
            restore(payload, DIRECTIVES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (1 << 22) + 100 * len(payload)


def test_a_broker_answers_them(process: Server, connection: Connection) -> None:
    """Through the front door: an error, or a key that can be read whole and dumped."""
    errors = (
        b"-ERR Bad data format\r\n",
        b"-ERR Bad data format: it holds ",
        b"-ERR DUMP payload version or checksum are wrong\r\n",
    )
    for name, payload in payloads().items():
        if len(payload) > 5000:
            continue
        for seed in range(10):
            hostile = mutated(payload, random.Random(f"{name} {seed}"))
            reply = connection.call("RESTORE", "k", "0", hostile, "REPLACE")
            assert reply.startswith((*errors, b"+OK\r\n")), (name, seed, reply)
            if reply == b"+OK\r\n":
                for command in (("DUMP", "k"), ("OBJECT", "ENCODING", "k"), ("XINFO", "STREAM", "k", "FULL"),
                                ("LRANGE", "k", "0", "-1"), ("HGETALL", "k"), ("ZRANGE", "k", "0", "-1"),
                                ("COPY", "k", "l"), ("XADD", "k", "*", "f", "v"), ("DEL", "k", "l")):  # fmt: skip
                    answer = connection.call(*command)
                    assert b"internal" not in answer and answer[:1] in b"$*+:-%~", (name, seed, command, answer)
