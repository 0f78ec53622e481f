"""MEMORY USAGE beside redis-server: not the same bytes, which depend on its allocator, but the same order."""

import pytest

from tests.oracle.harness import Command, pair, requires
from tests.oracle.wire import parse

pytestmark = requires("8.10")

_COUNTS = (1, 10, 100, 1000, 10_000)


def _elements(count: int, length: int) -> list[str]:
    return [f"{number:0{length}}" if length < 6 else f"m{number:0{length - 1}}" for number in range(count)]


def _fill(kind: str, count: int, length: int) -> list[Command]:
    elements = _elements(count, length)
    if kind == "list":
        return [["RPUSH", "k", *elements]]
    if kind == "set":
        return [["SADD", "k", *elements]]
    if kind == "hash":
        return [["HSET", "k", *(word for element in elements for word in (element, f"v{element}"))]]
    if kind == "sorted set":
        return [["ZADD", "k", *(word for score, element in enumerate(elements) for word in (score, element))]]
    if kind == "stream":
        return [["XADD", "k", "*", "field", element, "other", "v"] for element in elements]
    return [["SET", "k", "x" * count * length]]


@pytest.mark.parametrize("length", [5, 12, 100])
@pytest.mark.parametrize("count", _COUNTS)
@pytest.mark.parametrize("kind", ["string", "list", "set", "hash", "sorted set", "stream"])
def test_common_values(kind: str, count: int, length: int) -> None:
    with pair() as both:
        client = both.client()
        for connection in (client.theirs, client.ours):
            for command in _fill(kind, count, length):
                connection.call(*map(str, command))
        for samples in ([], ["SAMPLES", "0"], ["SAMPLES", "50"]):
            theirs, ours = (
                int(parse(connection.call("MEMORY", "USAGE", "k", *samples)).text)
                for connection in (client.theirs, client.ours)
            )
            assert 0.65 * theirs <= ours <= 1.5 * theirs


@pytest.mark.parametrize(
    "commands",
    [
        ["SET k 12345"],
        ["SET k a"],
        ["SETBIT k 100000 1"],
        ["APPEND k xxxxxxxxxx"],
        ["PFADD k a b c d"],
        ["SADD k 1 2 3"],
        ["SADD k 1 2 3 100000"],
        ["SADD k 1 -9000000000000000000"],
        ["ZADD k 1.5 a -2.25 b 1e300 c"],
        ["HSET k a 1 b 2", "HEXPIRE k 1000 FIELDS 2 a b"],
        ["RPUSH k 1 2 3 100000 -5 99999999999"],
        ["XADD k * a b", "XGROUP CREATE k g 0", "XREADGROUP GROUP g c STREAMS k >"],
        ["XADD k * a b c d", "XADD k * e f"],
        [["RPUSH", "k", "x" * 20_000, "y" * 30_000]],
    ],
)
def test_special_values(commands: list[Command]) -> None:
    with pair() as both:
        client = both.client()
        for command in commands:
            for connection in (client.theirs, client.ours):
                connection.call(*(command.split() if isinstance(command, str) else map(str, command)))
        theirs, ours = (
            int(parse(connection.call("MEMORY", "USAGE", "k")).text) for connection in (client.theirs, client.ours)
        )
        assert 0.5 * theirs <= ours <= 1.6 * theirs


def test_statistics_have_the_same_names() -> None:
    with pair() as both:
        client = both.client(resp=3)
        for command in ("SET k v EX 1000", "HSET h f v", "SELECT 2", "SET k v"):
            client.do(command)
        theirs, ours = (
            [item.text for item in parse(connection.call("MEMORY", "STATS")).items[::2]]
            for connection in (client.theirs, client.ours)
        )
        assert ours == theirs
