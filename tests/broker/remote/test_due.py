"""`trimaran due` on servers that keep delayed entries and do not add them."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.remote import due
from broker.values.streams.delayed_entry import pack
from tests.oracle import servers
from tests.oracle.wire import Connection, parse


def _command_7_0() -> list[str]:
    return [str(servers.find_7_0())]


def _command_reference() -> list[str]:
    return [str(servers.find_reference()[0])]


def _command_valkey() -> list[str]:
    return [str(servers.find_valkey()[0])]


def _command_ours() -> list[str]:
    return [sys.executable, "-m", "broker", "serve"]


COMMANDS = {"7.0": _command_7_0, "8.10": _command_reference, "valkey": _command_valkey, "ours": _command_ours}


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.Server]:
    find: Callable[[], list[str]] = COMMANDS[request.param]
    try:
        command = find()
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))
    port = servers.free_port()
    command += ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    started = servers.start(request.param, command, port)
    try:
        yield started
    finally:
        started.stop()


def values(connection: Connection, key: str) -> list[bytes]:
    entries = parse(connection.call("XRANGE", key, "-", "+")).items
    return [entry.items[1].items[1].text for entry in entries]


def test_due_entries_are_added(server: servers.Server, capsys: pytest.CaptureFixture[str]) -> None:
    connection = server.connect()
    now = int(time.time() * 1000)
    for number in range(due.AT_ONCE + 50):
        member = pack(number, [b"n", b"%d" % number, b"text", b"x" * (number * 3)], [])
        connection.call("ZADD", "~delayed:{s}:s", str(now - 1000), member)
    later = pack(1000, [b"n", b"later"], [])
    connection.call("ZADD", "~delayed:{s}:s", str(now + 1_000_000), later, str(now - 10), "nonsense")
    connection.call("SELECT", "5")
    connection.call("ZADD", "~delayed:{a}:b{a}", "1", pack(1, [b"n", b"1"], [b"MAXLEN", b"1"]))
    connection.call("ZADD", "~delayed:{a}:b{a}", "2", pack(1, [b"n", b"2"], [b"MAXLEN", b"=", b"1"]))
    connection.call("ZADD", "~delayed:{none}:none", "2", pack(1, [b"n", b"2"], [b"NOMKSTREAM"]))
    connection.call("ZADD", "~delayed:none", "2", pack(1, [b"n", b"2"], []))
    connection.call("SET", "~delayed:{text}:text", "2")
    url = f"redis://127.0.0.1:{server.address[1]}"
    assert due.main(["--url", url]) == 0
    assert capsys.readouterr().out == f"{due.AT_ONCE + 54} due entries were added\n"
    assert values(connection, "b{a}") == [b"2"]
    assert connection.call("EXISTS", "none", "~delayed:{none}:none", "~delayed:{a}:b{a}") == b":0\r\n"
    connection.call("SELECT", "0")
    assert values(connection, "s") == [b"%d" % number for number in range(due.AT_ONCE + 50)]
    members = parse(connection.call("ZRANGE", "~delayed:{s}:s", "0", "-1", "WITHSCORES")).items
    assert [member.text for member in members] == [later, b"%d" % (now + 1_000_000), b"nonsense", b"inf"]
    assert due.main(["--url", url]) == 0
    assert capsys.readouterr().out == "0 due entries were added\n"
    connection.close()


def test_one_stream(server: servers.Server, capsys: pytest.CaptureFixture[str]) -> None:
    connection = server.connect()
    for name in ("s", "t", "u"):
        connection.call("ZADD", f"~delayed:{{{name}}}:{name}", "1", pack(1, [b"n", b"1"], []))
    url = f"redis://127.0.0.1:{server.address[1]}"
    assert due.main(["s", "u", "--url", url]) == 0
    assert capsys.readouterr().out == "2 due entries were added\n"
    assert connection.call("EXISTS", "s", "t", "u") == b":2\r\n"
    connection.call("SET", "t", "text")
    assert due.main(["--url", url]) == 1
    assert "t: WRONGTYPE" in capsys.readouterr().err
    assert connection.call("EXISTS", "~delayed:{t}:t") == b":1\r\n"
    connection.close()


def test_again_and_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Silent:
        deadline = 0.0

        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> "Silent":
            return self

        def __exit__(self, *_: object) -> None: ...

    counts = iter([3, 0, 2])
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(due, "Connection", Silent)
    monkeypatch.setattr(due, "add_due", lambda *_: next(counts))
    monkeypatch.setattr(due.time, "sleep", sleep)
    assert due.main(["--every", "0.5"]) == 0
    assert capsys.readouterr().out == "3 due entries were added\n2 due entries were added\n"
    assert slept == [0.5] * 3


@pytest.mark.parametrize("words", [["--every", "x"], ["--url", "http://x"], ["--none"]])
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert due.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("trimaran due: ") and told.endswith("; see trimaran due --help\n") and told.count("\n") == 1


def test_help_and_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert due.main(["--help"]) == 0
    assert capsys.readouterr().out == due.USAGE
    assert due.main(["--url", f"redis://127.0.0.1:{servers.free_port()}"]) == 1
    assert "trimaran due: 127.0.0.1:" in capsys.readouterr().err
