"""SCRIPT DEBUG: whole dialogues with both debuggers, byte for byte, and what becomes of the effects."""

import time
from collections.abc import Iterator

import pytest

from tests.oracle import servers
from tests.oracle.harness import Differs, pair, requires, same
from tests.oracle.script_dialogues import DIALOGUES, FRAMES, LINES
from tests.oracle.wire import CLOSED, SILENT, Connection, encode

pytestmark = requires("8.10")

END = b"*1\r\n+<endsession>\r\n"


class Both:
    """A client of either server, each in debugging mode."""

    def __init__(self, mode: str) -> None:
        self.clients = [servers.reference().connect(), servers.broker().connect()]
        _opened.append(self)
        self.do("SCRIPT", "DEBUG", mode)

    def do(self, *words: str) -> bytes:
        self.send(encode(words))
        return self.receive(" ".join(words))

    def send(self, data: bytes) -> None:
        for client in self.clients:
            client.send(data)

    def receive(self, label: str = "") -> bytes:
        theirs, ours = [client.receive() for client in self.clients]
        if theirs != ours:
            raise Differs(f"{label}\ntheirs: {theirs!r}\nours:   {ours!r}")
        return theirs

    def begin(self, script: str, keys: list[str], arguments: list[str]) -> bytes:
        return self.do("EVAL", script, str(len(keys)), *keys, *arguments)

    def finish(self) -> None:
        """The reply to EVAL, after which the connection is closed."""
        self.receive("the script's reply")
        assert self.receive("the end") == CLOSED

    def close(self) -> None:
        for client in self.clients:
            client.close()


_opened: list[Both] = []


@pytest.fixture(autouse=True)
def _clients_are_closed() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


@pytest.fixture(params=["YES", "SYNC"])
def both(request: pytest.FixtureRequest) -> Both:
    return Both(request.param)


def on_both(*words: str) -> bytes:
    answers = []
    for server in (servers.reference(), servers.broker()):
        client = server.connect()
        answers.append(client.call(*words))
        client.close()
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(both: Both, name: str) -> None:
    script, keys, arguments, commands = DIALOGUES[name]
    on_both("FLUSHALL")
    reply = both.begin(script, keys, arguments)
    for command in commands:
        if reply.endswith(b"+<endsession>\r\n"):
            break
        reply = both.do(*command.split())
    assert reply.endswith(b"+<endsession>\r\n")
    both.finish()


@pytest.mark.parametrize("line", range(1, FRAMES.count("\n") + 2))
def test_stopping_at_any_line(line: int) -> None:
    both = Both("YES")
    both.begin(FRAMES, [], [])
    both.do("b", str(line))
    while not (reply := both.do("c")).endswith(b"+<endsession>\r\n"):
        assert b"Stopped at" in reply
        both.do("t")
        for _ in range(2):
            both.do("p", "z")
    both.finish()
    both.close()


def test_effects_are_undone_in_mode_yes_and_kept_in_mode_sync() -> None:
    for mode, kept in (("YES", b"$-1\r\n"), ("SYNC", b"$1\r\n1\r\n")):
        for last in ("c", "a"):
            on_both("FLUSHALL")
            both = Both(mode)
            both.begin("redis.call('set','k','1')\nlocal a = 1\nreturn redis.call('get','k')", [], [])
            both.do("s")
            both.do(last)
            both.finish()
            assert on_both("GET", "k") == kept
            both.close()


def test_other_clients_are_served_meanwhile_only_in_mode_yes() -> None:
    both = Both("YES")
    both.begin("redis.call('set','other','5')\nreturn redis.call('get','other')", [], [])
    both.do("s")
    assert on_both("GET", "other") == b"$-1\r\n"
    assert on_both("SET", "third", "1") == b"+OK\r\n"
    both.do("c")
    both.finish()
    both = Both("SYNC")
    both.begin(LINES, [], [])
    waiting = [Connection(server.address, timeout=0.2) for server in (servers.reference(), servers.broker())]
    assert [client.call("PING") for client in waiting] == [SILENT, SILENT]
    both.do("c")
    both.finish()
    assert on_both("PING") == b"+PONG\r\n"
    for client in waiting:
        client.close()


def test_a_client_that_vanishes(both: Both) -> None:
    """The script goes on to its end without it."""
    on_both("FLUSHALL")
    both.begin("redis.call('set','k','3')\nlocal a=1\nredis.call('set','k','4')\nreturn 5", [], [])
    both.do("b", "4")
    both.do("s")
    both.close()
    assert on_both("GET", "k") in (b"$-1\r\n", b"$1\r\n4\r\n")
    assert on_both("PING") == b"+PONG\r\n"


def test_a_script_that_does_not_end(both: Both) -> None:
    for server in (servers.reference(), servers.broker()):
        client = server.connect()
        client.call("CONFIG", "SET", "busy-reply-threshold", "100")
        client.close()
    try:
        both.begin("local a=1\nwhile true do a=1 end", [], [])
        for _ in range(2):
            assert b"timeout reached, infinite loop?" in both.do("c")
        both.do("p", "a")
        both.do("a")
        both.finish()
        second = Both("YES")
        second.begin("local a=1\nwhile true do a=1 end", [], [])
        second.do("c")
        second.close()
    finally:
        on_both("CONFIG", "SET", "busy-reply-threshold", "5000")


@pytest.mark.parametrize(
    "raw",
    [
        b"s\r\n", b"s", b"*1\r\n:1\r\n", b"*0\r\n", b"*-1\r\n", b"*2000\r\n", b"*1\r\n$-1\r\n", b"*x\r\n",
        b"*1\r\n$0\r\n\r\n", b"\r\n", b"*1\r\n$1\r\nsXX", b"*1025\r\n", b"*1\r\n$1025\r\n",
    ],
)  # fmt: skip
def test_malformed_input(both: Both, raw: bytes) -> None:
    both.begin(LINES, [], [])
    both.send(raw)
    assert both.receive() == END
    both.finish()


def test_commands_in_pieces_and_commands_at_once() -> None:
    both = Both("YES")
    both.begin(LINES, [], [])
    for byte in encode(["s"]):
        both.send(bytes([byte]))
        time.sleep(0.001)  # a piece of its own for each
    assert b"Stopped at 2" in both.receive()
    both.send(encode(["s"]) + encode(["s"]) + encode(["p"]))  # only the first counts
    assert b"Stopped at 3" in both.receive()
    both.do("c")
    both.finish()
    both.close()


def test_the_mode() -> None:
    same(
        [
            "SCRIPT DEBUG", "SCRIPT DEBUG MAYBE", "SCRIPT DEBUG YES x", "SCRIPT DEBUG no", "SCRIPT DEBUG yes",
            "GET a", "EVALSHA aaaa 0", "SCRIPT LOAD 'return 1'", "EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0",
            "EVAL", "SCRIPT DEBUG NO", "EVAL 'return 1' 0", "SCRIPT DEBUG SYNC", "SCRIPT DEBUG NO", "EVAL 'return 2' 0",
            "MULTI", "SCRIPT DEBUG YES", "EVAL 'return 1' 0", "EXEC",
        ],
    )  # fmt: skip


def test_requests_that_fail_early() -> None:
    for words in (["EVAL", "return 1", "x"], ["EVAL", "return 1", "5"], ["EVAL", "return 1", "-1"]):
        both = Both("YES")
        assert both.do(*words) == END
        both.finish()
        both.close()


def test_read_only_scripts_and_transactions() -> None:
    both = Both("YES")
    both.do("EVAL_RO", "redis.call('set','a','b')\nreturn 1", "0")
    both.do("s")
    both.finish()
    both.close()
    both = Both("SYNC")
    for words in (["MULTI"], ["SET", "q", "1"], ["EVAL", LINES, "0"], ["GET", "q"]):
        both.do(*words)
    assert b"Stopped at 1" in both.do("EXEC")
    both.do("c")
    # Redis closes the connection once the script's own reply is sent, in the midst of EXEC's.
    assert both.clients[1].receive() == b"*3\r\n+OK\r\n:5\r\n$1\r\n1\r\n"
    both.close()


def test_a_session_that_is_pipelined_with_its_mode(both: Both) -> None:
    mode = both.do("SCRIPT", "DEBUG", "YES")
    assert mode == b"+OK\r\n"
    both.send(encode(["SCRIPT", "DEBUG", "YES"]) + encode(["EVAL", LINES, "0"]) + encode(["s"]))
    both.receive()
    both.do("c")
    both.receive("the reply to SCRIPT DEBUG")
    both.finish()


@pytest.fixture(params=["monitored", "unnoticed"])
def monitored(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without somebody who monitors, which decides how requests are executed here."""
    monitors = []
    if request.param == "monitored":
        for server in (servers.reference(), servers.broker()):
            monitors.append(server.connect())
            assert monitors[-1].call("MONITOR") == b"+OK\r\n"
    yield
    for monitor in monitors:
        monitor.close()


def test_what_was_unsent_before_the_session_is_sent_after_it(both: Both, monitored: None) -> None:
    both.send(b"".join(map(encode, [["ECHO", "before"], ["GET", "nokey"], ["EVAL", LINES, "0"]])))
    assert b"Stopped at 1" in both.receive()
    assert both.do("c") == END
    assert both.receive() == b"$6\r\nbefore\r\n"
    assert both.receive() == b"$-1\r\n"
    both.finish()


@pytest.mark.parametrize("first", ["ECHO", "CLIENT"])
def test_the_mode_behind_other_requests(monitored: None, first: str) -> None:
    """It is set only where the client has been told everything."""
    both = Both("NO")
    before = ["ECHO", "x"] if first == "ECHO" else ["CLIENT", "REPLY", "SKIP"]
    words = [before, ["PING"], ["SCRIPT", "DEBUG", "YES"], ["EVAL", "return 1", "0"], ["SCRIPT", "DEBUG", "NO"]]
    both.send(b"".join(map(encode, words)))
    if first == "ECHO":
        for _ in words:
            both.receive()
    else:
        assert b"Stopped at 1" in both.receive()
        assert both.do("c") == END
        assert both.receive() == b"+OK\r\n"
        both.finish()


def test_a_client_without_replies() -> None:
    """In mode SYNC, Redis would close the connection only when it has something to send."""
    both = Both("YES")
    both.do("CLIENT", "NO-EVICT", "off")
    both.send(encode(["CLIENT", "REPLY", "OFF"]) + encode(["EVAL", LINES, "0"]))
    assert b"Stopped at 1" in both.receive()
    assert both.do("c") == END
    assert both.receive() == CLOSED


def test_what_a_script_publishes_to_its_own_client(both: Both) -> None:
    for client in both.clients:
        client.call("HELLO", "3")
    both.do("SUBSCRIBE", "news")
    both.send(encode(["PING"]) + encode(["EVAL", "redis.call('publish', 'news', 'x')\nreturn 5", "0"]))
    assert b"Stopped at 1" in both.receive()
    assert both.do("c") == END
    for _ in range(4):
        both.receive()


def test_notifications_and_blocked_clients() -> None:
    """In mode SYNC a client that waits for what the script writes gets it; in mode YES it does not."""
    with pair() as p:
        waiting = p.client()
        waiting.send("BLPOP list 0")
        p.settle()
        for mode in ("YES", "SYNC"):
            both = Both(mode)
            both.begin("redis.call('rpush','list','x')\nreturn 1", [], [])
            both.do("c")
            both.finish()
            both.close()
            p.settle()
            if mode == "YES":
                waiting.nothing()
        waiting.receive()
