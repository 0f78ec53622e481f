"""One dialogue, without Lua; tests/oracle/test_script_debug.py has whole ones."""

from collections.abc import Sequence

import pytest

from broker.scripting.debugger import GONE, MAX_BUFFER, Debugger, parse
from tests.oracle.wire import encode


class Client:
    """A channel whose client sends these pieces and then leaves."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = list(pieces)
        self.sent: list[bytes] = []

    def fileno(self) -> int:
        return -1

    def receive(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        pass


def begin(*pieces: bytes, source: bytes = b"a\nb\nc") -> tuple[Debugger, Client]:
    client = Client(pieces)
    return Debugger(client, source, lambda words: (b":%d\r\n" % len(words), False)), client


def test_a_stop_is_told_and_the_client_obeyed() -> None:
    debugger, client = begin(encode(["list"]), encode(["r", "get", "x"]), encode(["s"]))
    assert debugger.stopped(2, b"step over") == (b"step", b"", 0)
    assert debugger.is_stepping
    assert client.sent == [
        b"*2\r\n+* Stopped at 2, stop reason = step over\r\n+-> 2   b\r\n",
        b"*3\r\n+   1   a\r\n+-> 2   b\r\n+   3   c\r\n",
        b"*2\r\n+<redis> get x\r\n+<reply> 2\r\n",
    ]


def test_breakpoints_are_passed_on() -> None:
    debugger, _ = begin(encode(["b", "1", "3"]), encode(["c"]))
    assert debugger.stopped(2, b"step over") == (b"continue", b"1 3", 0)
    assert not debugger.is_stepping


def test_a_client_that_is_gone() -> None:
    debugger, _ = begin()
    assert debugger.stopped(1, b"step over")[0] == GONE


def test_lines_hold_no_line_ends() -> None:
    debugger, client = begin()
    debugger.log(b"a\r\nb")
    debugger.end()
    assert client.sent == [b"*2\r\n+a  b\r\n+<endsession>\r\n"]


def test_long_values_are_cut_and_that_is_told_once() -> None:
    debugger, client = begin()
    debugger.log_value(b"x" * 256)
    debugger.log_value(b"x" * 257)
    debugger.log_value(b"x" * 257)
    debugger.end()
    _, whole, cut, hint, cut_again, _ = client.sent[0].split(b"\r\n+")
    assert whole == b"x" * 256
    assert cut == cut_again == b"x" * 256 + b" ..."
    assert hint.startswith(b"<hint>")


def test_a_flood_ends_the_script() -> None:
    pieces = [b"*1024\r\n", *[b"$1024\r\n" + b"x" * 1024 + b"\r\n"] * (MAX_BUFFER // 1024)]
    debugger, _ = begin(*pieces)
    assert debugger.stopped(1, b"step over")[:2] == (b"abort", b"max client buffer reached")


def test_commands_in_pieces() -> None:
    whole = encode(["print", "a"])
    for end in range(1, len(whole)):
        assert parse(whole[:end]) is None
    assert parse(whole) == [b"print", b"a"]
    assert parse(whole + b"rest") == [b"print", b"a"]


@pytest.mark.parametrize(
    "data", [b"x", b"*0\r\n", b"*1025\r\n", b"*1\r\n+x\r\n", b"*1\r\n$0\r\n\r\n", b"*1\r\n$1\r\nxyz"]
)
def test_malformed_commands(data: bytes) -> None:
    with pytest.raises(ValueError, match="protocol error"):
        parse(data)
