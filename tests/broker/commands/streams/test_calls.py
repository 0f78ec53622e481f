"""XCALL and XREPLY: replies, errors and effects."""

import pytest

from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker


@pytest.fixture
def client() -> Client:
    made = Client(make_broker(stream_extensions=True))
    for line in ("XADD s 1-1 a 1", "XADD s 2-1 a 2", "XGROUP CREATE s g 0", "XADD alone 1-1 a 1", "SET text x",
                 "XREADGROUP GROUP g c COUNT 1 STREAMS s >"):  # fmt: skip
        assert not made.do(line).startswith(b"-")
    return made


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("XCALL 0 none * a 1", "NORESPONDERS no group reads this stream"),
        ("XCALL 0 alone * a 1", "NORESPONDERS no group reads this stream"),
        ("XCALL 0 text * a 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XCALL x s * a 1", "ERR timeout is not an integer or out of range"),
        ("XCALL -1 s * a 1", "ERR timeout is negative"),
        ("XCALL 0 s 5-5 a 1", "ERR XCALL needs the ID *"),
        ("XCALL 0 s MAXLEN 5 * a 1", "ERR XCALL needs the ID *"),
        ("XCALL 0 s * a 1 b", "ERR wrong number of arguments for 'xcall' command"),
        ("XCALL 0 s * a", "ERR wrong number of arguments for 'xcall' command"),
        ("XREPLY s g x v", "ERR Invalid stream ID specified as stream command argument"),
        ("XREPLY text g 1-1 v", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XREPLY s g 1-1 v DEAD", "ERR syntax error"),
        ("XREPLY s g 1-1 v DEADLETTER x", "ERR syntax error"),
        ("XREPLY s g 1-1", "ERR wrong number of arguments for 'xreply' command"),
    ],
)
def test_errors(client: Client, command: str, error: str) -> None:
    effects = journal(client.broker)
    assert client.do(command) == f"-{error}\r\n".encode()
    assert effects == []
    assert not client.broker.calls.waiting


def test_transactions_and_scripts(client: Client) -> None:
    client.do("MULTI")
    client.do("XCALL 0 s * a 1")
    client.do("XREPLY s g 1-1 v")
    assert client.do("EXEC") == b"*2\r\n-ERR XCALL can't be used in a transaction or script\r\n:0\r\n"
    reply = client.do([b"EVAL", b"return redis.call('XCALL', 0, KEYS[1], '*', 'a', 1)", b"1", b"s"])
    assert reply.startswith(b"-ERR XCALL can't be used in a transaction or script")
    assert client.do("XLEN s") == b":2\r\n"
    assert client.do("XPENDING s g").startswith(b"*4\r\n:0\r\n")


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ("XREPLY s g 1-1 v", ["XACK s g 1-1"]),
        ("XREPLY s g 1-1 v deadletter", ["XACK s g 1-1"]),
        ("XREPLY s g 2-1 v DEADLETTER", []),
        ("XREPLY s g 2-1 v", []),
        ("XREPLY s g 9-9 v", []),
        ("XREPLY s none 1-1 v", []),
        ("XREPLY none g 1-1 v", []),
    ],
)
def test_late_answers_acknowledge(client: Client, command: str, effect: list[str]) -> None:
    effects = journal(client.broker)
    assert client.do(command) == b":0\r\n"
    assert lines(effects) == effect
    client.do("SET a 1")
    assert lines(effects) == [*effect, "SET a 1"]


def test_effects_under_a_policy(client: Client) -> None:
    client.do("XCFGSET s RETAIN WORKQUEUE")
    effects = journal(client.broker)
    assert client.do("XREPLY s g 1-1 v") == b":0\r\n"
    assert lines(effects) == ["XACK s g 1-1", "XTRIM s MAXLEN = 1"]


def test_a_call_and_an_answer_in_a_script(client: Client) -> None:
    caller = Client(client.broker)
    effects = journal(client.broker)
    assert caller.do("XCALL 0 s * a 3") == b"" and caller.waits
    id = lines(effects)[0].split()[2]
    client.do("XREADGROUP GROUP g c STREAMS s >")
    script = b"return redis.call('XREPLY', KEYS[1], 'g', ARGV[1], 'v')"
    assert client.do([b"EVAL", script, b"1", b"s", id.encode()]) == b":1\r\n"
    assert caller.take() == b"*2\r\n$%d\r\n%b\r\n$1\r\nv\r\n" % (len(id), id.encode())
    assert lines(effects)[-1] == f"XACK s g {id}"


def test_permissions(client: Client) -> None:
    client.do("ACL SETUSER alice on nopass ~s +@blocking +xreply -xcall")
    client.do("AUTH alice x")
    assert client.do("XCALL 0 s * a 1").startswith(b"-NOPERM")
    assert client.do("XREPLY alone g 1-1 v").startswith(b"-NOPERM")
    assert client.do("XREPLY s g 1-1 v") == b":0\r\n"


def test_the_command_table(client: Client) -> None:
    assert client.do("COMMAND GETKEYS XCALL 0 s * a 1") == b"*1\r\n$1\r\ns\r\n"
    plain = Client(make_broker())
    for command in ("XCALL 0 s * a 1", "XREPLY s g 1-1 v"):
        assert plain.do(command).startswith(b"-ERR unknown command")
    assert client.do("COMMAND INFO XACK XACKDEL") == plain.do("COMMAND INFO XACK XACKDEL")
    assert "calling_clients" not in plain.do("INFO clients").decode()
