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
from broker.console_process import ConsoleProcess, console_problem, missing_library, own_options, own_url
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
    assert own_url(config_of(), addresses) == "redis://[::1]:6379"
    assert own_url(config_of(), ["0.0.0.0:1", "[::]:1"]) == "redis://127.0.0.1:1"
    assert own_url(config_of(), ["10.0.0.1:1"]) == "redis://10.0.0.1:1"
    assert own_url(config_of(unixsocket="/run/t.sock"), addresses) == "unix:///run/t.sock"
    assert own_url(config_of(), []) is None
    assert own_url(config_of(tls_port=7), []) == "rediss://127.0.0.1:7"


def test_the_child_logs_in_as_the_user_for_metrics() -> None:
    config = config_of(otlp_password=b"p@ss/\xff")
    assert own_url(config, ["127.0.0.1:1"]) == "redis://default:p%40ss%2F%FF@127.0.0.1:1"
    config.otlp_user = "a:b"
    assert own_url(config, ["127.0.0.1:1"]) == "redis://a%3Ab:p%40ss%2F%FF@127.0.0.1:1"
    config.unixsocket = "/run/t.sock"
    assert own_url(config, []) == "unix://a%3Ab:p%40ss%2F%FF@/run/t.sock"


URL = "redis://127.0.0.1:1"
WORDS = ["--port", "1", "--json", "--end-with-input"]


def test_a_login_is_required_where_the_broker_or_the_address_requires_it() -> None:
    words = [*WORDS, "--bind", "127.0.0.1"]
    config = config_of(http_port=1)
    assert own_options(config, URL, login=False) == words
    assert own_options(config, URL, login=True) == [*words, "--server-login"]
    config.http_bind, config.http_host = "::1 192.0.2.1", "a.example b.example"
    assert own_options(config, URL, login=False) == [
        *WORDS, "--bind", "::1", "--bind", "192.0.2.1", "--host", "a.example", "--host", "b.example", "--server-login",
    ]  # fmt: skip


def test_an_encrypted_broker_is_trusted_and_shown_its_own_certificate() -> None:
    config = config_of(http_port=1, tls_port=7, tls_cert_file="c", tls_key_file="k")
    words = [*WORDS, "--insecure", "--cert", "c", "--key", "k", "--bind", "127.0.0.1"]
    assert own_options(config, "rediss://127.0.0.1:7", login=False) == words
    config.tls_auth_clients = "no"
    assert own_options(config, "rediss://127.0.0.1:7", login=False) == [*WORDS, "--insecure", "--bind", "127.0.0.1"]


def test_the_child_is_told_where_to_push_metrics() -> None:
    config = config_of(http_port=1, otlp_endpoint="http://c:4318")
    words = [*WORDS, "--bind", "127.0.0.1", "--otlp", "http://c:4318"]
    assert own_options(config, URL, login=False) == words
    config.otlp_interval = 10
    assert own_options(config, URL, login=False) == [*words, "--otlp-interval", "10"]


def test_nobody_uses_the_console_as_the_user_for_metrics() -> None:
    config = config_of(http_port=1, otlp_user="metrics", otlp_password=b"x")
    assert "--server-login" in own_options(config, URL, login=False)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, None),
        ({"http_port": 1, "otlp_endpoint": "http://c", "otlp_interval": 5, "otlp_password": b"x"}, None),
        ({"otlp_endpoint": "http://c"}, "otlp-endpoint: the console pushes the metrics, and there is none without"),
        ({"otlp_password": b"x"}, "otlp-password: the console pushes the metrics, and there is none without"),
        ({"http_port": 1, "otlp_interval": 5}, "otlp-interval: there is no otlp-endpoint"),
        ({"http_port": 1, "otlp_endpoint": "http://c", "otlp_user": "a"}, "otlp-user: there is no otlp-password"),
    ],
)
def test_directives_that_do_not_fit_together_are_named(values: dict[str, Any], text: str | None) -> None:
    found = console_problem(config_of(**values))
    assert found is None if text is None else found is not None and found.startswith(text)


def test_the_environment_may_name_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", " ")
    assert console_problem(config_of(http_port=1, otlp_interval=5)) == "otlp-interval: there is no otlp-endpoint"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")
    assert console_problem(config_of(http_port=1, otlp_interval=5)) is None


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_library() is None
    monkeypatch.setattr(console_process, "EXPORTER", "nosuch.exporter")
    assert console_problem(config_of(http_port=1)) is None
    assert console_problem(config_of(http_port=1, otlp_endpoint="http://c")) == (
        "otlp-endpoint: nosuch.exporter is not installed; install it with pip install 'trimaran[otlp]'"
    )
    monkeypatch.setattr(console_process, "LIBRARIES", ("trio", "nosuchlibrary"))
    assert missing_library() == "nosuchlibrary"
    assert console_problem(config_of()) is None
    assert console_problem(config_of(http_port=1)) == (
        "http-port: nosuchlibrary is not installed; install it with pip install 'trimaran[ui]'"
    )


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
    deadline = time.monotonic() + 60
    while not is_gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_console_ends_with_its_broker(broker_with_console: tuple[subprocess.Popen[str], int, int]) -> None:
    process, _, _ = broker_with_console
    read_until(process, "console: the console of")
    [child] = children(process.pid)
    process.terminate()
    assert process.wait(60) == 0
    assert is_gone(child)
