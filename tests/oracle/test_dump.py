"""DUMP and RESTORE against the reference: what either dumps, the other restores to the same value.

The corpus has every type in every encoding; where Debian's redis-server 7.0 is installed, it is exchanged with that
one too, as long as the value needs nothing newer.
"""

import re
import shutil
from collections.abc import Iterator, Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle import servers
from tests.oracle.harness import Each, Loose, examples, pair, requires, same, version
from tests.oracle.servers import Server
from tests.oracle.state import differences, keyspace_of
from tests.oracle.wire import Connection, encode, parse

Command = str | Sequence[str | bytes | int | float]

LONG = "long " * 40


def _many(*words: str, count: int = 700) -> str:
    return " ".join(word.replace("#", str(n)) for n in range(count) for word in words)


STRINGS: list[Command] = [
    *(["SET", f"s{n}", text] for n, text in enumerate(
        ["", "a", "0", "-1", "127", "128", "-129", "32768", "-32769", "2147483647", "2147483648", "-2147483648",
         "-2147483649", "12345678901", "012", "+1", " 1", "1.5", "x" * 20, "x" * 21, "x" * 5000, LONG,
         bytes(range(256)), bytes(range(256)) * 300, "9" * 63, "9" * 16400])),
    "APPEND grown abc", "APPEND grown def", "SETBIT bits 100000 1", "INCRBYFLOAT float 3.25",
]  # fmt: skip
LISTS: list[Command] = [
    "RPUSH l:small a 1 -1 127 128 4095 -4096 32767 -32768 8388607 2147483647 9223372036854775807 -9223372036854775808",
    ["RPUSH", "l:texts", "", "x" * 62, "x" * 63, "x" * 64, "x" * 126, "x" * 127, "x" * 128, "y" * 4095, "y" * 4096],
    ["RPUSH", "l:large", "a", "b" * 8191, "b" * 8192, "b" * 8193, "c", "d" * 100000, "e"],
    f"RPUSH l:nodes {_many('element-#', '#', count=3000)}",
    f"RPUSH l:same {_many('x', count=3000)}",
]
SETS: list[Command] = [
    "SADD t:16 1 -1 32767 -32768", "SADD t:32 1 32768", "SADD t:64 1 9223372036854775807 -9223372036854775808",
    f"SADD t:integers {_many('#', count=600)}", "SADD t:small a b 1 2", f"SADD t:many {_many('m#')}",
    ["SADD", "t:long", "a", "x" * 65], ["SADD", "t:empty", ""],
]  # fmt: skip
SORTED_SETS: list[Command] = [
    "ZADD z:small 1 a 2.5 b -3 c inf d -inf e 1e300 f 1e-300 g 9007199254740993 h 0.1 i -0 j 100000000000000000000 k",
    "ZADD z:same 0 b 0 a 0 c", f"ZADD z:many {_many('#.5', 'm#')}", ["ZADD", "z:long", "1", "x" * 65, "nan0", "y"],
    ["ZADD", "z:long", "1", "x" * 65, "inf", "y", "-inf", "z"],
]  # fmt: skip
HASHES: list[Command] = [
    "HSET h:small f v g 1 h -5", f"HSET h:many {_many('f#', 'v#')}", ["HSET", "h:long", "f", "x" * 65],
    ["HSET", "h:empty", "", ""],
]  # fmt: skip
STREAMS: list[Command] = [
    "XADD x:one 1-1 f v",
    *(f"XADD x:many {n}-{n % 7} f {n} g v{n}" for n in range(1, 350)),
    *(f"XADD x:mixed {n}-1 f{n % 3} {n} {'g w' if n % 4 else ''}" for n in range(1, 50)),
    "XDEL x:many 5-5 100-2 120-1 1-1", "XTRIM x:many MAXLEN 330", "XDEL x:mixed 1-1",
    "XADD x:empty 7-7 f v", "XDEL x:empty 7-7",
    "XGROUP CREATE x:none g $ MKSTREAM",
    "XADD x:ids 18446744073709551614-18446744073709551615 f v",
    "XADD x:wide 1-18446744073709551615 f v", "XADD x:wide 5000000000000-0 f v",
    ["XADD", "x:long", "1-1", "f" * 100, "v" * 10000], "XADD x:long 2-1 f v",
    "XADD x:set 1-1 f v", "XSETID x:set 9-9 ENTRIESADDED 50 MAXDELETEDID 3-3",
]  # fmt: skip
# Consumers whose last attempt is their last success, as every 7.0 has them.
GROUPS: list[Command] = [
    *(f"XADD g {n}-1 f {n}" for n in range(1, 30)),
    "XGROUP CREATE g one 0", "XGROUP CREATE g two 10-1 ENTRIESREAD 10", "XGROUP CREATE g three $",
    "XREADGROUP GROUP one alice COUNT 12 STREAMS g >", "XREADGROUP GROUP one bob COUNT 4 STREAMS g >",
    "XREADGROUP GROUP two carol STREAMS g >", "XACK g one 3-1 14-1",
    "XCLAIM g one bob 0 1-1 5-1 TIME 1700000000000 RETRYCOUNT 7",
    "XDEL g 2-1 20-1",
]  # fmt: skip
OLDER = [*STRINGS, *LISTS, *SETS, *SORTED_SETS, *HASHES, *STREAMS, *GROUPS]

FIELD_DEADLINES: list[Command] = [
    "HSET e:small a 1 b 2 c 3", "HPEXPIREAT e:small 4000000000123 FIELDS 1 b", "HPEXPIREAT e:small 3900000000000 FIELDS 1 c",
    f"HSET e:many {_many('f#', 'v#')}", "HPEXPIREAT e:many 4000000000123 FIELDS 2 f1 f2",
    "HPEXPIREAT e:many 281474976710655 FIELDS 1 f3",
    "HSET e:all a 1", "HPEXPIREAT e:all 4000000000123 FIELDS 1 a",
    "HSET e:former a 1", "HPEXPIREAT e:former 4000000000123 FIELDS 1 a", "HPERSIST e:former FIELDS 1 a",
]  # fmt: skip
IDLE_CONSUMERS: list[Command] = [
    "XADD c 1-1 f v", "XGROUP CREATE c g 0", "XGROUP CREATECONSUMER c g never",
    "XREADGROUP GROUP g once STREAMS c >", "XREADGROUP GROUP g once STREAMS c >",
]  # fmt: skip
PRODUCERS: list[Command] = [
    "XADD i IDMP p1 a * f v", "XADD i IDMP p1 b * f v", "XADD i IDMP p1 a * f v", "XADD i IDMP p2 a * f v",
    "XADD i IDMPAUTO p3 * f v", "XADD i2 1-1 f v", "XCFGSET i2 IDMP-DURATION 500 IDMP-MAXSIZE 7",
]  # fmt: skip
RELEASED: list[Command] = [
    *(f"XADD n {n}-1 f {n}" for n in range(1, 9)), "XGROUP CREATE n g 0", "XREADGROUP GROUP g c STREAMS n >",
    "XNACK n g FAIL IDS 2 5-1 3-1", "XNACK n g FATAL IDS 1 4-1", "XNACK n g SILENT IDS 1 1-1",
]  # fmt: skip

_PLACES = re.compile(rb"\$16\r\nradix-tree-(?:keys|nodes)\r\n:\d+\r\n|\$15\r\nradix-tree-keys\r\n:\d+\r\n")
_RADIX = re.compile(rb"(radix-tree-(?:keys|nodes)\r\n:)\d+")


def fill(connection: Connection, commands: Sequence[Command]) -> None:
    """Execute commands, none of which may fail."""
    connection.send(b"".join(map(encode, commands)))
    for command in commands:
        reply = connection.receive()
        assert not reply.startswith(b"-") or "nan0" in str(command), (command, reply)


def dumped(connection: Connection) -> dict[bytes, bytes]:
    """Every key of a server with its payload."""
    keys = [node.text for node in parse(connection.call("KEYS", "*")).items]
    return {key: parse(connection.call("DUMP", key)).text for key in keys}


def assert_transplants(source: Connection, target: Connection, older: tuple[int, ...]) -> None:
    """All keys of one server are the same on the other once it has restored them; `older` is the lower version."""
    target.call("FLUSHALL")
    payloads = dumped(source)
    assert payloads
    for key, payload in payloads.items():
        assert target.call("RESTORE", key, "0", payload) == b"+OK\r\n", (key, payload[:80])
    assert differences(keyspace_of(source, older), keyspace_of(target, older)) == []
    for key in payloads:
        command = ("DEBUG", "DIGEST-VALUE", key)
        assert source.call(*command) == target.call(*command), key
        command = ("XINFO", "STREAM", key, "FULL", "COUNT", "0")
        if older >= (7, 2):
            assert _RADIX.sub(b"", source.call(*command)) == _RADIX.sub(b"", target.call(*command)), key


@pytest.fixture(scope="module")
def old() -> Iterator[Server]:
    """A redis-server 7.0."""
    path = shutil.which("redis-server")
    if path is None or servers._version_of(servers.Path(path))[:2] != (7, 0):
        pytest.skip("no redis-server 7.0 is installed")
    port = servers.free_port()
    options = ["--save", "", "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
    server = servers.start("old", [path, "--port", str(port), *options], port)
    yield server
    server.stop()


CORPORA = {
    "strings": STRINGS, "lists": LISTS, "sets": SETS, "sorted sets": SORTED_SETS, "hashes": HASHES,
    "streams": STREAMS, "groups": GROUPS,
}  # fmt: skip
NEWER = {
    "field deadlines": FIELD_DEADLINES, "idle consumers": IDLE_CONSUMERS, "producers": PRODUCERS,
    "released": RELEASED,
}  # fmt: skip


@requires("8.8")
@pytest.mark.parametrize("name", [*CORPORA, *NEWER])
def test_either_restores_what_the_other_dumps(name: str) -> None:
    commands = CORPORA.get(name) or NEWER[name]
    with pair() as p:
        client = p.client()
        for source, target in ((client.theirs, client.ours), (client.ours, client.theirs), (client.ours, client.ours)):
            source.call("FLUSHALL")
            fill(source, commands)
            if source is target:
                before = keyspace_of(source, version())
                payloads = dumped(source)
                source.call("FLUSHALL")
                for key, payload in payloads.items():
                    assert source.call("RESTORE", key, "0", payload) == b"+OK\r\n"
                assert differences(before, keyspace_of(source, version())) == []
            else:
                assert_transplants(source, target, version())


@pytest.mark.parametrize("name", CORPORA)
def test_7_0_and_ours(name: str, old: Server) -> None:
    theirs = old.connect()
    with pair() as p:
        ours = p.client().ours
        theirs.call("FLUSHALL")
        fill(ours, CORPORA[name])
        assert_transplants(ours, theirs, (7, 0))
        theirs.call("FLUSHALL")
        fill(theirs, CORPORA[name])
        assert_transplants(theirs, ours, (7, 0))
    theirs.close()
