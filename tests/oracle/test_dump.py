"""DUMP and RESTORE against the reference: what either dumps, the other restores to the same value.

The corpus has every type in every encoding; where a redis-server 7.0 or a valkey-server 9 is installed (on the path,
or named by TRIMARAN_REDIS_SERVER or TRIMARAN_VALKEY_SERVER), it is exchanged with that one too, as long as the value
needs nothing newer. Encodings of older servers are made by hand.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.broker.persistence.payloads import BAD, HAND_MADE, sealed
from tests.oracle import servers
from tests.oracle.harness import Loose, Masked, Skip, examples, pair, requires, same, version
from tests.oracle.servers import Server
from tests.oracle.state import differences, keyspace_of
from tests.oracle.wire import Connection, encode, parse

Command = str | Sequence[str | bytes | int | float]

LONG = "long " * 40


def _many(*words: str, count: int = 700) -> str:
    return " ".join(word.replace("#", str(n)) for n in range(count) for word in words)


_TEXTS: list[str | bytes] = [
    "", "a", "0", "-1", "127", "128", "-129", "32768", "-32769", "2147483647", "2147483648", "-2147483648",
    "-2147483649", "12345678901", "012", "+1", " 1", "1.5", "x" * 20, "x" * 21, "x" * 5000, LONG, bytes(range(256)),
    bytes(range(256)) * 300, "9" * 63, "9" * 16400,
]  # fmt: skip
STRINGS: list[Command] = [
    *(("SET", f"s{n}", text) for n, text in enumerate(_TEXTS)),
    "APPEND grown abc", "APPEND grown def", ["SETRANGE", "grown", 100000, "x"], "INCRBYFLOAT float 3.25",
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
    "HSET e:small a 1 b 2 c 3", "HPEXPIREAT e:small 4000000000123 FIELDS 1 b",
    "HPEXPIREAT e:small 3900000000000 FIELDS 1 c",
    f"HSET e:many {_many('f#', 'v#')}", "HPEXPIREAT e:many 4000000000123 FIELDS 2 f1 f2",
    "HPEXPIREAT e:many 70368744177663 FIELDS 1 f3",
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


def transplant(source: Connection, target: Connection, digests: bool = True) -> None:
    """Restore all keys of one server on the other; both have the same digests for them then."""
    target.call("FLUSHALL")
    payloads = dumped(source)
    assert payloads
    for key, payload in payloads.items():
        assert target.call("RESTORE", key, "0", payload) == b"+OK\r\n", (key, payload[:80])
    for key in payloads if digests else ():
        assert source.call("DEBUG", "DIGEST-VALUE", key) == target.call("DEBUG", "DIGEST-VALUE", key), key


def streams_of(connection: Connection) -> dict[bytes, bytes]:
    """All that XINFO tells of each stream, with its times, which don't change by themselves."""
    keys = [node.text for node in parse(connection.call("KEYS", "*")).items]
    replies = {key: connection.call("XINFO", "STREAM", key, "FULL", "COUNT", "0") for key in keys}
    return {key: _RADIX.sub(b"", reply) for key, reply in replies.items() if not reply.startswith(b"-")}


def _started(name: str, pattern: bytes) -> Iterator[Server]:
    """A server of this name and version, apart from the two that the other tests compare."""
    path = os.environ.get(f"TRIMARAN_{name.upper().replace('-', '_')}") or shutil.which(name)
    if path is None or pattern not in subprocess.run([path, "--version"], capture_output=True).stdout:
        pytest.skip(f"no {name} of version {pattern.decode()} is installed")
    port = servers.free_port()
    options = ["--save", "", "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
    server = servers.start(name, [path, "--port", str(port), *options], port)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def redis_7_0() -> Iterator[Server]:
    yield from _started("redis-server", b" v=7.0.")


@pytest.fixture(scope="module")
def valkey_9() -> Iterator[Server]:
    yield from _started("valkey-server", b" v=9.")


@pytest.fixture
def seven(redis_7_0: Server) -> Iterator[Connection]:
    """A client of a redis-server 7.0."""
    connection = redis_7_0.connect()
    yield connection
    connection.close()


@pytest.fixture
def valkey(valkey_9: Server) -> Iterator[Connection]:
    """A client of a valkey-server 9."""
    connection = valkey_9.connect()
    yield connection
    connection.close()


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
    with pair() as p:
        client = p.client()
        for source, target in ((client.theirs, client.ours), (client.ours, client.theirs)):
            source.call("FLUSHALL")
            fill(source, {**CORPORA, **NEWER}[name])
            transplant(source, target)
            assert differences(keyspace_of(source, version()), keyspace_of(target, version())) == []
            assert streams_of(source) == streams_of(target)


def test_nodes_of_streams_end_where_they_ended() -> None:
    """So approximate trimming removes the same entries from what was restored."""
    with pair() as p:
        client = p.client()
        fill(client.theirs, [
            *(f"XADD x {n}-1 f {n} {'g w' * (n % 3)}" for n in range(1, 1000) if n % 3 < 2),
            *(f"XDEL x {n}-1" for n in range(1, 990, 17)), "XTRIM x MAXLEN 550", "XDEL x 997-1 999-1",
        ])  # fmt: skip
        transplant(client.theirs, client.ours)
        client.do("XINFO STREAM x")
        for n in range(1000, 1100):
            client.do(f"XADD x {n}-1 f v")
        for length in (500, 460, 333, 111, 90):
            client.do(f"XTRIM x MAXLEN ~ {length}")
        client.do("XTRIM x MINID ~ 1050")
        client.do("XLEN x")


def assert_back_and_forth(name: str, there: Connection, level: tuple[int, ...]) -> None:
    """Replies differ in what is newer, so each server is compared with itself; `level` is the other's version."""
    # Digests of scores are made from their texts, and those changed after 7.0.
    digests = name != "sorted sets"
    with pair() as p:
        ours = p.client().ours
        for home, abroad, known in ((ours, there, version()), (there, ours, level)):
            home.call("FLUSHALL")
            fill(home, CORPORA[name])
            before = keyspace_of(home, known)
            streams = streams_of(home)
            transplant(home, abroad, digests)
            transplant(abroad, home, digests)
            assert differences(before, keyspace_of(home, known)) == []
            assert streams_of(home) == streams


@pytest.mark.parametrize("name", CORPORA)
def test_to_7_0_and_back(name: str, seven: Connection) -> None:
    assert_back_and_forth(name, seven, (7, 0))


@pytest.mark.parametrize("name", CORPORA)
def test_to_valkey_and_back(name: str, valkey: Connection) -> None:
    assert_back_and_forth(name, valkey, (7, 2))


def test_deadlines_of_fields_from_valkey(valkey: Connection) -> None:
    with pair() as p:
        ours = p.client().ours
        valkey.call("FLUSHALL")
        fill(valkey, FIELD_DEADLINES)
        transplant(valkey, ours, digests=False)
        assert differences(keyspace_of(valkey, version()), keyspace_of(ours, version())) == []


HELLO = sealed(b"\0\5hello")
NUMBERS = ["", "a", "-1", "0", "1", "1000", "1.5", "9223372036854775807", "9223372036854775808", "-9223372036854775808"]


def test_options_and_errors() -> None:
    def restore(key: str, *more: str | bytes) -> list[str | bytes]:
        return ["RESTORE", key, "0", HELLO, *more]

    same([
        "DUMP", "DUMP missing", "DUMP a b", "RESTORE", "RESTORE k", "RESTORE k 0", restore("k"), "GET k", restore("k"),
        "RESTORE k 0 junk", "RESTORE k x junk", restore("k", "replace"), "RESTORE k -1 junk REPLACE",
        "RESTORE n x junk", "RESTORE n 0 junk", ["RESTORE", "n", "0", ""], ["RESTORE", "n", "0", HELLO[:-1]],
        restore("n", "BOGUS"), restore("k", "BOGUS"), restore("n", "IDLETIME"), restore("n", "FREQ"),
        restore("n", "IDLETIME", "5", "FREQ", "5"), restore("n", "FREQ", "5", "IDLETIME", "5"),
        restore("n", "FREQ", "5", "FREQ", "6"), restore("m", "IDLETIME", "5", "idletime", "6"),
        restore("n", "IDLETIME", "-1", "BOGUS"), restore("n", "FREQ", "256", "BOGUS"),
        restore("n", "REPLACE", "ABSTTL", "REPLACE", "ABSTTL"),
        "LPUSH l a", restore("l"), restore("l", "REPLACE"), "TYPE l",
    ], state=True)  # fmt: skip
    for number in NUMBERS:
        same([["RESTORE", "k", number, HELLO], ["RESTORE", "k", "0", HELLO, "REPLACE", "IDLETIME", number],
              ["RESTORE", "k", "0", HELLO, "REPLACE", "FREQ", number]])  # fmt: skip


def test_idle_time_and_frequency() -> None:
    same([["RESTORE", "k", "0", HELLO, "IDLETIME", "1000"], Loose("OBJECT IDLETIME k"), "GET k", "OBJECT IDLETIME k"])
    same(["CONFIG SET maxmemory-policy allkeys-lfu", ["RESTORE", "k", "0", HELLO, "FREQ", "100"], "OBJECT FREQ k",
          ["RESTORE", "k", "0", HELLO, "REPLACE", "IDLETIME", "100"], "OBJECT FREQ k"],
         cleanup=["CONFIG SET maxmemory-policy noeviction"])  # fmt: skip


def test_deadlines() -> None:
    same([["RESTORE", "k", "100000", HELLO], Loose("TTL k"),
          ["RESTORE", "k", "5000000000000", HELLO, "ABSTTL", "REPLACE"], "PEXPIRETIME k",
          ["RESTORE", "k", "0", HELLO, "ABSTTL", "REPLACE"], "TTL k",
          ["RESTORE", "k", "1", HELLO, "ABSTTL"], ["RESTORE", "k", "1", HELLO, "ABSTTL", "REPLACE"], "EXISTS k",
          ["RESTORE", "k", "1", HELLO, "ABSTTL"], "EXISTS k", "SET e 1 EX 100", ["RESTORE", "e", "0", HELLO, "REPLACE"],
          "TTL e", ["RESTORE", "o", "9223372036854775807", HELLO, "ABSTTL"], "EXISTS o",
          ["RESTORE", "w", "9223372036854775807", HELLO], "EXISTS w"], state=True)  # fmt: skip


def test_events() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        client, watcher = p.client(), p.client(resp=3)
        client.do("CONFIG SET notify-keyspace-events KEAnoc")
        watcher.do("PSUBSCRIBE __key*")
        overdue = sealed(b"\x18" + (1).to_bytes(8, "little") + b"\1\1\1f\1v", 12)
        commands: list[list[str | bytes]] = [
            ["RESTORE", "k", "0", HELLO], ["RESTORE", "k", "0", HELLO, "REPLACE"],
            ["RESTORE", "k", "0", sealed(b"\1\1\1a"), "REPLACE"], ["RESTORE", "k", "99999", HELLO, "REPLACE"],
            ["RESTORE", "k", "1", HELLO, "REPLACE", "ABSTTL"], ["RESTORE", "k", "1", HELLO, "REPLACE", "ABSTTL"],
        ]  # fmt: skip
        for command in commands:
            client.do(command)
            watcher.drain()
        assert client.do(["RESTORE", "h", "0", overdue]) == b"+OK\r\n"


def test_a_reader_waits_for_what_is_restored() -> None:
    with pair() as p:
        reader, writer = p.client(), p.client()
        reader.send("BLPOP l 0")
        p.settle()
        writer.do(["RESTORE", "l", "0", sealed(b"\1\2\1a\1b")])
        reader.receive()


@pytest.mark.parametrize("name", sorted(HAND_MADE))
def test_older_encodings(name: str) -> None:
    """Each is a value to both, or bad data to both; values are the same."""
    payload = HAND_MADE[name]
    same([["RESTORE", "k", "0", payload], "TYPE k", "DEBUG DIGEST-VALUE k", Skip("DUMP k")], state=True)


def _without_reason(reply: bytes) -> bytes:
    """The reply without the type that ours names where it doesn't have it."""
    return re.sub(rb"(?<=Bad data format): it holds data of module type \w+", b"", reply)


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_data(name: str) -> None:
    same([Masked(["RESTORE", "k", "0", BAD[name]], _without_reason), "EXISTS k"])


_texts = st.one_of(
    st.binary(max_size=70),
    st.integers(-(2**64), 2**64).map(lambda number: b"%d" % number),
    st.integers(0, 300).map(lambda size: b"r" * size),
)
_scores = st.floats(allow_nan=False, width=64).map(repr)
_some_texts = st.lists(_texts, min_size=1, max_size=30)
_entry = st.lists(st.tuples(st.sampled_from([b"f", b"g", b"h"]), _texts), min_size=1, max_size=3)
_stream_steps = st.lists(
    st.one_of(
        _entry.map(lambda pairs: ["XADD", "x", "?", *(text for pair in pairs for text in pair)]),
        st.integers(1, 20).map(lambda n: ["XDEL", "x", f"{n}-1"]),
        st.integers(0, 10).map(lambda n: ["XTRIM", "x", "MAXLEN", n]),
        st.integers(0, 20).map(lambda n: ["XGROUP", "CREATE", "x", f"g{n % 3}", f"{n}-1", "MKSTREAM"]),
        st.integers(0, 20).map(lambda n: ["XREADGROUP", "GROUP", f"g{n % 3}", f"c{n % 2}", "STREAMS", "x", ">"]),
        st.integers(0, 20).map(lambda n: ["XACK", "x", f"g{n % 3}", f"{n}-1"]),
        st.integers(0, 20).map(lambda n: ["XNACK", "x", f"g{n % 3}", "FAIL", "IDS", "1", f"{n}-1"]),
    ),
    min_size=1,
    max_size=30,
)


def _numbered(steps: list[list[str | bytes | int]]) -> list[list[str | bytes | int]]:
    """The steps with ascending IDs in place of the question marks."""
    return [[f"{n}-1" if part == "?" else part for part in step] for n, step in enumerate(steps, 1)]


_values: st.SearchStrategy[list[list[str | bytes | int]]] = st.one_of(
    _texts.map(lambda text: [["SET", "k", text]]),
    _some_texts.map(lambda texts: [["RPUSH", "k", *texts]]),
    _some_texts.map(lambda texts: [["SADD", "k", *texts]]),
    _some_texts.map(lambda texts: [["HSET", "k", *texts, *texts]]),
    st.lists(st.tuples(_scores, _texts), min_size=1, max_size=30).map(
        lambda pairs: [["ZADD", "k", *(part for pair in pairs for part in pair)]]
    ),
    _stream_steps.map(_numbered),
)


@requires("8.8")
@examples(70)
@given(_values)
def test_generated_values(commands: list[list[str | bytes | int]]) -> None:
    with pair() as p:
        client = p.client()
        for source, target in ((client.theirs, client.ours), (client.ours, client.theirs)):
            source.call("FLUSHALL")
            for command in commands:
                source.call(*command)
            if source.call("DBSIZE") == b":0\r\n":
                return
            transplant(source, target)
            assert differences(keyspace_of(source, version()), keyspace_of(target, version())) == []
            assert streams_of(source) == streams_of(target)
