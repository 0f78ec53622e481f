"""The console as a child of the broker."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from broker import console_process
from broker.config import Config
from broker.console_process import ConsoleProcess, missing_library, own_address, own_options
from broker.process.log import Log
from tests.broker.test_server import read_until
from tests.oracle.servers import free_port
from tests.oracle.wire import Connection

ROOT = Path(__file__).parents[2]


def config_of(**values: Any) -> Config:
    config = Config()
    for name, value in values.items():
        setattr(config, name, value)
    return config


def test_the_child_is_told_where_its_parent_listens() -> None:
    addresses = ["10.0.0.1:6379", "[::1]:6379", "127.0.0.1:6379"]
    assert own_address(config_of(), addresses) == ["--url", "redis://[::1]:6379"]
    assert own_address(config_of(), ["0.0.0.0:1", "[::]:1"]) == ["--url", "redis://127.0.0.1:1"]
    assert own_address(config_of(), ["10.0.0.1:1"]) == ["--url", "redis://10.0.0.1:1"]
    assert own_address(config_of(unixsocket="/run/t.sock"), addresses) == ["--url", "unix:///run/t.sock"]
    assert own_address(config_of(), []) is None
    config = config_of(tls_port=7, tls_cert_file="c", tls_key_file="k")
    assert own_address(config, []) == [
        "--url", "rediss://127.0.0.1:7", "--insecure", "--cert", "c", "--key", "k",
    ]  # fmt: skip
    config.tls_auth_clients = "no"
    assert own_address(config, []) == ["--url", "rediss://127.0.0.1:7", "--insecure"]


def test_a_login_is_required_where_the_broker_or_the_address_requires_it() -> None:
    words = ["--port", "1", "--json", "--end-with-input", "--bind", "127.0.0.1"]
    config = config_of(http_port=1)
    assert own_options(config, login=False) == words
    assert own_options(config, login=True) == [*words, "--server-login"]
    config.http_bind, config.http_host = "::1 192.0.2.1", "a.example b.example"
    assert own_options(config, login=False) == [
        "--port", "1", "--json", "--end-with-input", "--bind", "::1", "--bind", "192.0.2.1",
        "--host", "a.example", "--host", "b.example", "--server-login",
    ]  # fmt: skip


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_library() is None
    monkeypatch.setattr(console_process, "LIBRARIES", ("trio", "nosuchlibrary"))
    assert missing_library() == "nosuchlibrary"


async def test_a_child_that_ends_is_started_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console_process, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(console_process, "CHECK_SECONDS", 0.01)
    program = 'import sys; sys.stderr.write(\'not JSON\\n{"level": "INFO", "message": "hello"}\\n\'); sys.exit(3)'
    monkeypatch.setattr(console_process, "PROGRAM", program)
    process = ConsoleProcess(config_of(http_port=1), Log("notice"), lambda: ["127.0.0.1:1"], lambda: False)
    with trio.move_on_after(10) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run)
            seen = ""
            while seen.count("the console has ended") < 2:
                await trio.sleep(0.01)
                seen += capfd.readouterr().out
            nursery.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert "console: hello" in seen and "console: not JSON" in seen and "status=3" in seen


def test_the_log_names_no_user_data_if_it_must_not(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("notice")
    process = ConsoleProcess(config_of(), log, list, lambda: False)
    line = json.dumps(
        {"level": "INFO", "message": "action=x key=k", "summary": "action=x", "details": "key=k"}
    ).encode()
    process._log_line(line)
    log.hide_user_data(True)
    process._log_line(line)
    shown, hidden = capfd.readouterr().out.splitlines()
    assert "console: action=x" in shown and "key=k" in shown
    assert "console: action=x" in hidden and "key=k" not in hidden


async def test_a_child_is_started_differently_when_logins_become_required(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console_process, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(
        console_process, "PROGRAM", "import sys; print(sys.argv, file=sys.stderr, flush=True); sys.stdin.read()"
    )
    login = False
    process = ConsoleProcess(config_of(http_port=1), Log("notice"), lambda: ["127.0.0.1:1"], lambda: login)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run)
            seen = ""
            while "--end-with-input" not in seen:
                await trio.sleep(0.01)
                seen += capfd.readouterr().out
            assert "--server-login" not in seen
            login = True
            while "--server-login" not in seen:
                await trio.sleep(0.01)
                seen += capfd.readouterr().out
            nursery.cancel_scope.cancel()
    assert "the console has ended" not in seen


@pytest.fixture
def broker_with_console(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    port, http_port = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
         "--http-port", str(http_port), "--dir", str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, port, http_port
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def children(number: int) -> list[int]:
    lists = Path(f"/proc/{number}/task").glob("*/children")
    return [int(word) for one in lists for word in one.read_text().split()]


def is_gone(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_console_lives_as_long_as_its_broker(
    broker_with_console: tuple[subprocess.Popen[str], int, int],
) -> None:
    process, port, http_port = broker_with_console
    line = read_until(process, "console: the console of")
    assert f"is at http://127.0.0.1:{http_port}" in line
    [child] = children(process.pid)
    with httpx.Client(base_url=f"http://127.0.0.1:{http_port}", headers={"accept": "text/html"}) as browser:
        assert "<h1>Trimaran" in browser.get("/").text
        # from now on it belongs to those who know a password
        connection = Connection(("127.0.0.1", port))
        assert connection.call("CONFIG", "SET", "requirepass", "secret") == b"+OK\r\n"
        connection.close()
        read_until(process, "console: the console of")
        assert browser.get("/").headers["location"].startswith("/login")
        [child] = children(process.pid)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while not is_gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_console_ends_with_its_broker(broker_with_console: tuple[subprocess.Popen[str], int, int]) -> None:
    process, _, _ = broker_with_console
    read_until(process, "console: the console of")
    [child] = children(process.pid)
    process.terminate()
    assert process.wait(20) == 0
    assert is_gone(child)
