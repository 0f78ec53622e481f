"""`trimaran ui`: its arguments, and the program."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from consumers.commands import ui
from consumers.console.access.policy import Login


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--bind", "0.0.0.0"], "without a login the console only listens on this machine, not on 0.0.0.0"),
        (["--password-file", "/nosuch"], "/nosuch: No such file or directory"),
        (["--https-cert", "x"], "--https-cert and --https-key belong together"),
        (["--url", "http://x"], "http://x: http:// is not supported"),
        (["--bind", "nosuch.invalid", "--server-login"], "nosuch.invalid: "),
        (["--otlp", "collector:4318"], "--otlp: not a URL as http://collector:4318 is"),
        (["--otlp-interval", "5"], "--otlp-interval: there is no --otlp"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--port", "0", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"trimaran ui: {text}") and error.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["--port", "65536"], ["--port", "x"], ["--otlp-interval", "0"], ["--server-login", "--password-file", "x"]],
)
def test_mistakes_in_words(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        ui.main(words)


def test_a_password_file_has_a_first_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\nsecond\n")
    assert ui.main(["--password-file", str(file)]) == 2
    file.write_bytes(b"\xff")
    assert ui.main(["--password-file", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"trimaran ui: {file}: its first line is empty\ntrimaran ui: {file}: not UTF-8\n"
    )


def test_arguments_become_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text(" se cret \r\nsecond\n")
    made: list[Any] = []
    monkeypatch.setattr(ui.anyio, "run", lambda _serve, *arguments, backend: made.append(arguments))
    words = ["--port", "0", "--url", "redis://u:hidden@h:1/2", "--password-file", str(file), "--read-only"]
    assert ui.main([*words, "--host", "Console.example", "--bind", "127.0.0.1", "--bind", "127.0.0.2"]) == 0
    [(console, listeners, _)] = made
    for listener in listeners:
        listener.socket.close()
    assert [one.address.partition(":")[0] for one in listeners] == ["127.0.0.1", "127.0.0.2"]
    assert (console.policy.login, console.policy.password, console.policy.read_only) == (
        Login.PASSWORD, " se cret ", True,
    )  # fmt: skip
    assert console.policy.hosts == {"console.example"}
    assert console.place == "redis://***@h:1/2"
    settings = console._connect("alice", "p@ss").connection_pool.connection_kwargs
    assert (settings["username"], settings["password"], settings["db"]) == ("alice", "p@ss", 2)


@pytest.fixture
def without_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("consumers.console.metrics.push", "consumers.console.metrics.otlp"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)


MISSING = "OTLP needs opentelemetry-exporter-otlp-proto-http; install it with pip install 'trimaran[otlp]'"


def test_an_exporter_that_is_missing_is_named(without_exporter: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--port", "0", "--otlp", "http://127.0.0.1:4318"]) == 2
    assert capsys.readouterr().err == f"trimaran ui: {MISSING}\n"


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [("http://127.0.0.1:4318", MISSING), ("c:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: not a URL as http://collector")],
)
def test_what_does_not_fit_in_the_environment_is_only_logged(
    endpoint: str, text: str, without_exporter: None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    made: list[Any] = []
    monkeypatch.setattr(ui.anyio, "run", lambda _serve, *arguments, backend: made.append(arguments))
    for words in ([], ["--otlp-interval", "5"]):
        assert ui.main(["--port", "0", *words]) == 0
        console, listeners, _ = made.pop()
        listeners[0].socket.close()
        assert console._push is None
        assert f"WARNING metrics are not pushed: {text}" in capsys.readouterr().err


async def test_the_program_serves_until_it_is_told_to_end() -> None:
    words = [sys.executable, "-m", "broker", "ui", "--port", "0", "--url", "redis://127.0.0.1:1"]
    async with await anyio.open_process(words, stdout=subprocess.DEVNULL) as program:
        assert program.stderr is not None
        with anyio.fail_after(20):
            line = (await program.stderr.receive()).decode()
            found = re.search(r"the console of redis://127\.0\.0\.1:1 is at (http://127\.0\.0\.1:\d+)\n", line)
            assert found is not None, line
            async with httpx.AsyncClient(headers={"accept": "text/html"}) as browser:
                response = await browser.get(f"{found[1]}/")
            assert response.status_code == 503 and "Connection refused" in response.text
            program.send_signal(signal.SIGTERM)
            assert await program.wait() == 0
