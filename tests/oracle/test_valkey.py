"""What only Valkey has, beside valkey-server: COMMANDLOG, CLIENT CAPA, `server` in scripts, and import mode."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.config import Config, load
from broker.config.directives import BY_NAME
from broker.config.kinds import quoted
from tests.oracle import servers
from tests.oracle.conftest import skip_loudly
from tests.oracle.wire import Connection, Node, encode, parse, split

Sides = tuple[Connection, Connection]


@pytest.fixture(autouse=True)
def found() -> None:
    try:
        servers.find_valkey()
    except servers.OracleMissing as missing:
        skip_loudly(str(missing))


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[], Sides]]:
    """Connects to both servers, Valkey first; both are left empty, and without import mode."""
    opened: list[Connection] = []

    def connect() -> Sides:
        sides = servers.valkey().connect(), servers.broker().connect()
        opened.extend(sides)
        for connection in sides:
            assert connection.call("HELLO", request.param)[:1] in (b"*", b"%")
        return sides

    for connection in connect():
        connection.call("FLUSHALL")
    yield connect
    for connection in connect():
        for command in ("CONFIG SET import-mode no maxmemory 0", "FLUSHALL", "FUNCTION FLUSH"):
            assert connection.call(*command.split()) == b"+OK\r\n"
    for connection in opened:
        connection.close()


def same(sides: Sides, *commands: str | list[str | bytes | int], mask: Callable[[bytes], bytes] = bytes) -> bytes:
    """Send commands to both, and compare the replies; returns Valkey's last one."""
    reply = b""
    for command in commands:
        request = encode(split(command) if isinstance(command, str) else command)
        for connection in sides:
            connection.send(request)
        reply, ours = (mask(connection.receive()) for connection in sides)
        assert (command, ours) == (command, reply)
    return reply


# COMMANDLOG

LOGGING = (
    "CONFIG SET commandlog-execution-slower-than 0 commandlog-request-larger-than 100 commandlog-reply-larger-than 50"
)
DEFAULTS = LOGGING.replace(" 0 ", " 10000 ").replace(" 100 ", " 1048576 ").replace(" 50", " 1048576")


def entries(connection: Connection, kind: str, count: int = -1) -> list[tuple[object, ...]]:
    """Each entry's arguments and the client's name; of the logs of sizes the size, too."""

    def told(entry: Node) -> tuple[object, ...]:
        assert len(entry.items) == 6 and re.fullmatch(rb"127\.0\.0\.1:\d+", entry.items[4].text)
        arguments = [argument.text for argument in entry.items[3].items]
        # How long a command takes is not comparable, nor the length of a reply that shows times and ports.
        amount = entry.items[2].text if kind != "slow" and arguments[0] != b"COMMANDLOG" else None
        return amount, arguments, entry.items[5].text

    return [told(entry) for entry in parse(connection.call("COMMANDLOG", "GET", count, kind)).items]


def test_command_logs(connect: Callable[[], Sides]) -> None:
    sides = connect()
    same(sides, "CLIENT SETNAME me", LOGGING)
    try:
        for kind in ("slow", "large-request", "large-reply"):
            same(sides, f"COMMANDLOG RESET {kind}")
        same(
            sides, ["SET", "k", "x" * 200], "GET k", "GET nokey", "ECHO short", ["SET", "many", *["a"] * 40],
            ["SET", "s", "x" * 60], "STRLEN k", ["ECHO", "y" * 80], ["MSET", *["z" * 40] * 4], "AUTH a b",
        )  # fmt: skip
        for kind in ("large-request", "large-reply", "slow"):
            theirs, ours = (entries(connection, kind) for connection in sides)
            assert (kind, ours) == (kind, theirs)
            if kind == "large-request":
                assert [entries(connection, kind, 2) for connection in sides] == [theirs[:2]] * 2
        same(sides, "COMMANDLOG LEN large-request", "COMMANDLOG LEN LARGE-reply", "COMMANDLOG RESET large-reply")
        same(sides, "COMMANDLOG LEN large-reply", "COMMANDLOG LEN large-request")
    finally:
        same(sides, DEFAULTS)


def test_errors_of_command_logs(connect: Callable[[], Sides]) -> None:
    same(
        connect(), "COMMANDLOG", "COMMANDLOG NOSUCH", "COMMANDLOG GET", "COMMANDLOG GET 1", "COMMANDLOG GET x slow",
        "COMMANDLOG GET -2 slow", "COMMANDLOG GET 1 nosuch", "COMMANDLOG GET x nosuch", "COMMANDLOG LEN",
        "COMMANDLOG LEN nosuch", "COMMANDLOG RESET", "COMMANDLOG RESET nosuch", "COMMANDLOG LEN slow extra",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["commandlog|get", "commandlog|len", "commandlog|reset", "commandlog|help", "client|capa", "client|import-source"],
)
def test_the_command_table(name: str) -> None:
    told = []
    for server in (servers.valkey(), servers.broker()):
        connection = server.connect()
        told.append(parse(connection.call("COMMAND", "INFO", name)).items[0])
        connection.close()
    theirs, ours = ([sorted(item.text for item in field.items) or field.text for field in row.items] for row in told)
    assert ours == theirs


# Clients and scripts


def test_capabilities(connect: Callable[[], Sides]) -> None:
    same(connect(), "CLIENT CAPA", "CLIENT CAPA redirect", "CLIENT CAPA nosuch", "CLIENT CAPA a b c", "client capa x")


def test_all_that_valkey_is_configured_with_starts_this_broker(tmp_path: Path) -> None:
    lines = []
    for name, value in servers.valkey().read_directives().items():
        if name not in (b"dir", b"logfile", b"pidfile", b"replicaof", b"slaveof"):
            directive = BY_NAME[name.decode()]
            lines.append(name + b" " + (value if directive.several and value else quoted(value)))
    assert len(lines) > 200
    file = tmp_path / "valkey.conf"
    file.write_bytes(b"\n".join(lines))
    load(Config(), [os.fsencode(file)])


def test_the_availability_zone(connect: Callable[[], Sides]) -> None:
    """Redis has no such field, so it is shown where there is one."""
    sides = connect()
    same(sides, "CONFIG SET availability-zone eu-central-1b", "CONFIG GET availability-zone")
    told = []
    for connection in sides:
        (line,) = re.findall(rb"availability_zone:.*", connection.call("INFO", "server"))
        texts = [node.text for node in parse(connection.call("HELLO")).items]
        told.append((line, texts[texts.index(b"availability_zone") + 1]))
    assert told[1] == told[0]
    same(sides, "CONFIG SET availability-zone ''")
    for connection in sides:
        assert b"availability_zone" not in connection.call("HELLO")
    assert b"availability_zone" not in sides[1].call("INFO", "server")


def kind_of_error(reply: bytes) -> bytes:
    """Valkey words many errors in other ways than Redis does."""
    return reply.split()[0] if reply.startswith(b"-") else reply


SCRIPTS = [
    "return server.call('PING')",
    "return server.call('NOSUCH')",
    "return {type(server.call), server == redis, tostring(server.call == redis.call)}",
    "return server.error_reply('x')",
    "return server.error_reply('MY x')",
    "return server.status_reply('fine')",
    "return server.sha1hex('')",
    "server.x = 1",
    "server = 1",
    "return {server.LOG_DEBUG, server.LOG_WARNING, server.REPL_ALL, server.REPL_NONE, server.REPL_AOF}",
    "server.log(server.LOG_DEBUG, 'x')",
    "server.setresp(3) return server.call('HGETALL', 'h')",
    "server.setresp(9)",
    "server.set_repl(server.REPL_NONE)",
    "return server.acl_check_cmd('GET', 'k')",
    "return server.acl_check_cmd('nosuch')",
    "return server.replicate_commands()",
    "return server.nosuch",
    "return server.nosuch()",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_name_server_in_scripts(connect: Callable[[], Sides], script: str) -> None:
    same(connect(), "HSET h f v", ["EVAL", script, 0], mask=kind_of_error)


def test_the_name_server_in_functions(connect: Callable[[], Sides]) -> None:
    library = (
        "#!lua name=lib\nserver.register_function('f', function(keys, args) return server.call('ECHO', args[1]) end)"
    )
    table = library.replace("('f', function", "{function_name='g', callback=function").replace(" end)", " end}")
    bad = "#!lua name=bad\nserver.call('PING')"
    same(
        connect(), ["FUNCTION", "LOAD", library], "FCALL f 0 x", ["FUNCTION", "LOAD", "REPLACE", table], "FCALL g 0 y",
        ["FUNCTION", "LOAD", bad], ["FUNCTION", "LOAD", "#!lua name=bad\nserver.x = 1"],
    )  # fmt: skip


# Import mode

DUE = (
    "SET due 5 PXAT 1", "SET due2 5 PXAT 1", "SET stays v", "RPUSH l 1 2", "PEXPIREAT l 1", "ZADD z 1 a",
    "PEXPIREAT z 1", "HSET h due 1 stays 2", "HPEXPIREAT h 1 FIELDS 1 due", "XADD s 1-1 f v", "PEXPIREAT s 1",
)  # fmt: skip

READS = (
    "HLEN h", "GET due", "EXISTS due stays due", "TTL due", "PTTL due", "EXPIRETIME due", "TYPE due", "STRLEN due",
    "MGET due stays", "GETRANGE due 0 -1", "BITCOUNT due", "LRANGE l 0 -1", "LLEN l", "ZRANGE z 0 -1 WITHSCORES",
    "ZSCORE z a", "ZCARD z", "HGET h due", "HMGET h due stays", "HGETALL h", "HEXISTS h due",
    "HTTL h FIELDS 2 due stays", "XRANGE s - +", "OBJECT ENCODING due", "DUMP nosuch", "TOUCH due stays", "SORT_RO l",
    "DBSIZE", "XREAD STREAMS s 0", ["EVAL", "return {redis.call('GET', 'due'), redis.call('EXISTS', 'l')}", 0],
    "SUBSTR due 0 1", "KEYS due2",
)  # fmt: skip

# Each on its own, by a client that is no import source; then the source looks.
WRITES = (
    "APPEND due x", "INCR due", "SET due new", "SET due new NX", "SET due new XX", "SET due new KEEPTTL",
    "GETSET due new", "GETDEL due", "GETEX due PERSIST", "GETEX due EX 100", "SETRANGE due 0 x", "DEL due nosuch",
    "UNLINK due l", "PERSIST due", "EXPIRE due 100", "EXPIREAT due -5", "PEXPIRE stays -5", "EXPIREAT stays 1",
    "SETEX due 100 x", "RENAME due other", "RENAME stays due", "RENAMENX stays due", "COPY due other",
    "COPY stays due", "MOVE due 1", "LPUSH l x", "LPUSHX l x", "LPOP l", "RPOPLPUSH l m", "LMOVE l m LEFT LEFT",
    "LMPOP 1 l LEFT", "BLPOP l 0.01", "SORT l STORE sorted", "ZADD z XX 2 a", "ZINCRBY z 5 a",
    "ZUNIONSTORE other 1 z", "ZRANGESTORE other z 0 -1", "SINTERSTORE other nosuch", "BITOP NOT other due",
    "XADD s 2-1 f v", "XADD s NOMKSTREAM 2-1 f v", "XGROUP CREATE s g 0", "PFADD due x", "MSETNX due 1 fresh 2",
    "MSET due 1 stays 2", ["EVAL", "return redis.call('APPEND', 'due', 'x')", 0], "HSET h stays 3", "HINCRBY h n 5",
    "HDEL h stays",
)  # fmt: skip

SHOWN = (
    "GET due",
    "TTL due",
    "EXISTS due due2 stays l z s other m",
    "LRANGE l 0 -1",
    "ZRANGE z 0 -1",
    "XLEN s",
    "DBSIZE",
)


def tool_and_other(connect: Callable[[], Sides]) -> tuple[Sides, Sides]:
    tool, other = connect(), connect()
    same(tool, "CONFIG SET import-mode yes", "CLIENT IMPORT-SOURCE ON", *DUE)
    return tool, other


def test_what_is_due_is_seen_by_the_source_alone(connect: Callable[[], Sides]) -> None:
    tool, other = tool_and_other(connect)
    for clients in (tool, other, tool):
        same(clients, *READS)
    assert same(tool, "GET due") == b"$1\r\n5\r\n"


def test_a_hash_of_which_all_is_due(connect: Callable[[], Sides]) -> None:
    tool, other = tool_and_other(connect)
    same(tool, "HSET all a 1 b 2", "HPEXPIREAT all 1 FIELDS 2 a b")
    for read in ("HLEN all", "HRANDFIELD all", "HRANDFIELD all 2", "HRANDFIELD all -3 WITHVALUES", "HGETALL all"):
        same(other, read)
    same(other, "HRANDFIELD h", "HRANDFIELD h 2", "EXISTS all", "TYPE all")


# Valkey's GETEX leaves what it does not find, and its due fields stay when others write to their hash.
NOT_BY_OTHERS = {"GETEX due PERSIST", "GETEX due EX 100", "HDEL h stays"}


@pytest.mark.parametrize("write", [write for write in WRITES if str(write) not in NOT_BY_OTHERS], ids=str)
def test_writes_by_others(connect: Callable[[], Sides], write: str | list[str | bytes | int]) -> None:
    tool, other = tool_and_other(connect)
    same(other, write, *SHOWN)
    same(tool, *SHOWN)


@pytest.mark.parametrize("write", WRITES, ids=str)
def test_writes_by_the_source(connect: Callable[[], Sides], write: str | list[str | bytes | int]) -> None:
    tool, other = tool_and_other(connect)
    same(tool, write, *SHOWN, "HGETALL h")
    same(other, *SHOWN)


def test_the_mode_and_the_role(connect: Callable[[], Sides]) -> None:
    tool, other = connect(), connect()
    same(
        tool,
        "CLIENT IMPORT-SOURCE ON",
        "CLIENT IMPORT-SOURCE maybe",
        "CLIENT IMPORT-SOURCE",
        "CLIENT IMPORT-SOURCE off",
    )
    same(tool, "CONFIG SET import-mode yes", "CONFIG GET import-mode", "CLIENT IMPORT-SOURCE maybe")
    same(tool, "CLIENT IMPORT-SOURCE oN", "SET k v PXAT 1", "GET k", "MULTI", "GET k", "CLIENT IMPORT-SOURCE off")
    same(tool, "GET k", "EXEC", "CLIENT IMPORT-SOURCE on", "GET k", "CLIENT REPLY ON")
    for connection in tool:
        assert b" flags=I " in connection.call("CLIENT", "INFO")
    same(other, "WATCH k", "MULTI", "PING", "EXEC", "CLIENT IMPORT-SOURCE off")
    same(
        tool,
        "RESET",
        "GET k",
        "CONFIG SET import-mode no",
        "GET k",
        "CLIENT IMPORT-SOURCE ON",
        "EXISTS k",
        "SET k v PXAT 1",
    )
    same(tool, "EXISTS k")


def test_what_is_due_expires_when_the_mode_ends(connect: Callable[[], Sides]) -> None:
    tool, other = tool_and_other(connect)
    same(tool, "CONFIG SET import-mode no", "GET due", "LLEN l", "HGET h due", "HGET h stays", "EXISTS z s")
    for connection in other:
        deadline = time.monotonic() + 60
        while connection.call("DBSIZE") != b":2\r\n":
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_nothing_is_evicted(connect: Callable[[], Sides]) -> None:
    tool, _ = tool_and_other(connect)
    same(tool, "CONFIG SET maxmemory 1 maxmemory-policy allkeys-lru", "SET more x", "DBSIZE")
    same(tool, "CONFIG SET maxmemory 0 maxmemory-policy noeviction", "SET more x")
