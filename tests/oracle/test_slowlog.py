"""SLOWLOG beside redis-server: which commands are logged, what is kept of them, and what is counted. Never how long."""

import re

import pytest

from tests.oracle.harness import AnyCommand, Client, Each, Masked, pair, requires, same
from tests.oracle.wire import Node, parse

pytestmark = requires("8.10")

EVERYTHING = ["CONFIG SET slowlog-log-slower-than 0", "SLOWLOG RESET"]
USUAL = [
    "CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128 slowlog-entry-max-argc 32"
    " slowlog-entry-max-string-len 128 maxclients 10000 masterauth '' masteruser '' requirepass ''",
    "SLOWLOG RESET",
]


def entries(reply: bytes) -> list[object]:
    """The entries without ids, times and ports, and without those of the harness's own requests."""
    own = (b"PING", b"INFO")
    return [_entry(node) for node in parse(reply).items if node.items[3].items[0].text not in own]


def _entry(node: Node) -> object:
    assert [item.kind for item in node.items] == [":", ":", ":", "*", "$", "$", ":"]
    _, _, _, args, peer, name, argc = node.items
    return [item.text for item in args.items], re.sub(rb":\d+$", b"", peer.text), name.text, argc.text


def logged(count: int = -1) -> AnyCommand:
    return Masked(f"SLOWLOG GET {count}", lambda reply: repr(entries(reply)).encode())


SECRETS = [
    "AUTH secret", "AUTH me secret", "HELLO 3 AUTH me secret", "HELLO 2 SETNAME n AUTH me secret",
    "CONFIG SET maxclients 1000 masterauth secret masteruser secret", "CONFIG SET masterauth secret nosuch x",
    "CONFIG SET nosuch x masterauth secret", "HELLO 3 AUTH", "CONFIG GET masterauth",
]  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        ["SET a x", "GET a", "get a", "Get a", "GET", "NOSUCH a", "CONFIG GET maxclients", "SLOWLOG LEN"],
        ["MULTI", "SET a 1", "LPOP a", "EXEC", "MULTI", "GET", "EXEC", "MULTI", "DISCARD", "WATCH a", "UNWATCH"],
        ["CLIENT SETNAME me", "GET a", "SET a x EX 100 NX", "GETEX a PERSIST", "INCRBYFLOAT f 1.5", "SPOP nokey"],
        [["EVAL", "redis.call('SET', 'a', 'x') return redis.pcall('LPOP', 'a')", 0], ["EVAL", "error('x')", 0],
         ["EVALSHA", "f" * 40, 0], ["EVAL", "return redis.call('SET', 'a')", 0]],
        ["BLPOP nokey 0.01", "RPUSH l x", "BLPOP l 0", "XADD s 1-1 f v", "XREAD BLOCK 10 STREAMS s $"],
        ["SUBSCRIBE c", "UNSUBSCRIBE c", "PUBLISH c m", "FLUSHALL", "SELECT 1", "COMMAND COUNT", "DEBUG SLEEP 0"],
        SECRETS,
        [["SET", "k", "é" * 100], ["SET", "k", "x" * 128], ["SET", "k", "x" * 129], ["RPUSH", "l", *range(31)],
         ["RPUSH", "l", *range(30)]],
        ["CONFIG SET slowlog-entry-max-argc 2 slowlog-entry-max-string-len 1", "MGET a", "MGET a b", "MGET a bb ccc"],
        ["CONFIG SET slowlog-entry-max-argc 3 slowlog-entry-max-string-len 4", "MGET abcd abcde", "MGET a bb ccc dd"],
        ["CONFIG SET slowlog-entry-max-argc 1", "CONFIG SET slowlog-entry-max-string-len 0",
         "CONFIG SET slowlog-max-len -1", "CONFIG SET slowlog-log-slower-than -2"],
        ["CONFIG SET slowlog-max-len 2", "GET a", "GET b", "CONFIG SET slowlog-max-len 0", "GET c"],
        ["CONFIG SET slowlog-max-len 1", "SLOWLOG LEN"],
        ["CONFIG SET slowlog-log-slower-than -1", "GET a"],
        ["CONFIG SET slowlog-log-slower-than 1000000", "GET a"],
    ],
)  # fmt: skip
def test_what_is_logged(script: list[AnyCommand]) -> None:
    masked = [
        Masked(step, lambda reply: re.sub(rb"8\.10\.\d|:\d+|modules.*", b"", reply, flags=re.DOTALL))
        if isinstance(step, str) and step.startswith(("HELLO", "COMMAND"))
        else step
        for step in script
    ]
    same([*EVERYTHING, *masked, logged(), "SLOWLOG LEN", logged(2)], cleanup=USUAL)


def test_arguments() -> None:
    same(
        [
            "SLOWLOG", "SLOWLOG NOSUCH", "SLOWLOG GET -2", "SLOWLOG GET x", "SLOWLOG GET 1 2", ["SLOWLOG", "GET", ""],
            "SLOWLOG GET 0", "SLOWLOG LEN x", "SLOWLOG RESET x", "SLOWLOG HELP x", "slowlog reset", "SLOWLOG LEN",
        ]
    )  # fmt: skip


def test_a_waiting_command_is_logged_when_it_is_answered() -> None:
    with pair() as both:
        client, waiting = both.client(), both.client()
        ids = waiting.ids
        try:
            for command in EVERYTHING:
                client.do(command)
            waiting.send("BLPOP l 0")
            both.settle()
            client.do("RPUSH l x")
            waiting.receive()
            client.do(logged())
            for how in ("TIMEOUT", "ERROR"):
                waiting.send("BLPOP l 0")
                both.settle()
                client.do(Each(f"CLIENT UNBLOCK {ids[0]} {how}", f"CLIENT UNBLOCK {ids[1]} {how}"))
                waiting.receive()
            client.do(Masked("SLOWLOG GET 30", _without_ids))
        finally:
            for command in USUAL:
                client.do(command)


def _without_ids(reply: bytes) -> bytes:
    """The entries, without the client that CLIENT UNBLOCK names."""
    return re.sub(rb"(b'UNBLOCK', )b'\d+'", rb"\1#", repr(entries(reply)).encode())


def test_counters() -> None:
    with pair() as both:
        client = both.client()
        try:
            for command in ("CONFIG SET slowlog-log-slower-than 0", "CONFIG RESETSTAT", "GET a", "GET a", "SET a x"):
                client.do(command)
            _same_counters(client, "commandstats")
            client.do("CONFIG SET slowlog-max-len 0")
            client.do("GET a")
            _same_counters(client, "commandstats")
            client.do("SLOWLOG RESET")
            _same_counters(client, "stats")
            client.do("CONFIG RESETSTAT")
            _same_counters(client, "stats")
            _same_counters(client, "commandstats")
        finally:
            for command in USUAL:
                client.do(command)


def _same_counters(client: Client, section: str) -> None:
    """The slow log's fields of INFO, without their times."""

    def mask(reply: bytes) -> bytes:
        lines = [
            line for line in parse(reply).text.split(b"\r\n") if b"slowlog" in line and b"cmdstat_info" not in line
        ]
        return b"\n".join(sorted(re.sub(rb"\d+\.\d\d|usec=\d+", b"#", line) for line in lines))

    client.do(Masked(f"INFO {section}", mask))
