"""`trimaran health`, beside a broker and beside servers that misbehave."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.remote import health


@contextmanager
def server(*answers: bytes, close: bool = False) -> Iterator[str]:
    """A server that answers each request of one client with the next of these; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def serve() -> None:
            with listening.accept()[0] as client:
                for answer in answers:
                    client.recv(1000)
                    client.sendall(answer)
                if not close:
                    done.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    status = health.main(words)
    (line,) = capsys.readouterr().out.splitlines()
    return status, line


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (b"+PONG\r\n", 0, "answers"),
        (b"-BUSY Redis is busy running a script.\r\n", 0, "is busy running a script"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", 1, "answered LOADING"),
        (b"-NOAUTH Authentication required.\r\n", 1, "answered NOAUTH"),
        (b"+\x1b[2J\r\n", 1, "answered \\x1b[2J"),
        (b"x" * 10000, 1, "the answer is not Redis's"),
    ],
)
def test_answers(answer: bytes, status: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with server(answer) as url:
        found, line = run(capsys, "--url", url)
    assert found == status
    assert words in line
    assert line.startswith("healthy: 127.0.0.1:" if status == 0 else "unhealthy: 127.0.0.1:")


def test_passwords(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"+OK\r\n", b"+PONG\r\n") as url:
        assert run(capsys, "--url", url.replace("//", "//me:top%20secret@"))[0] == 0
    with server(b"-WRONGPASS no\r\n") as url:
        status, line = run(capsys, "--url", url.replace("//", "//:secret@"))
    assert status == 1
    assert "refuses the password: WRONGPASS no" in line and "secret" not in line
    monkeypatch.setenv("REDISCLI_AUTH", "secret")
    with server(b"+OK\r\n", b"+PONG\r\n") as url:
        assert run(capsys, "--url", url)[0] == 0


def test_one_that_is_not_there_or_closes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        status, line = run(capsys, "--url", f"redis://127.0.0.1:{unused.getsockname()[1]}")
    assert status == 1 and "can't be reached: Connection refused" in line
    status, line = run(capsys, "--url", f"unix://{tmp_path}/none")
    assert status == 1 and "No such file or directory" in line
    with server(close=True) as url:
        status, line = run(capsys, f"--url={url}")
    assert status == 1 and "can't be reached" in line


def test_one_that_does_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with server(b"") as url:
        status, line = run(capsys, "--url", url, "--timeout", "0.05")
    assert status == 1 and "did not answer within 0.05 seconds" in line


def test_one_without_tls(capsys: pytest.CaptureFixture[str]) -> None:
    with server(b"-ERR Protocol error\r\n", close=True) as url:
        status, line = run(capsys, "--url", url.replace("redis:", "rediss:"), "--insecure")
    assert status == 1 and "can't be reached" in line


@pytest.mark.parametrize(
    "words",
    [["x"], ["--url"], ["--url", "http://h"], ["--url", "redis://h:x"], ["--url", "unix://"], ["--timeout", "0"],
     ["--timeout", "x"], ["--insecure=1"]],
)  # fmt: skip
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main(words) == 2
    told = capsys.readouterr().err
    assert (
        told.startswith("trimaran health: ")
        and told.endswith("; see trimaran health --help\n")
        and told.count("\n") == 1
    )


def test_a_broker(tmp_path: Path) -> None:
    path = tmp_path / "u"
    words = ["serve", "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-m", "broker", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "Ready to accept connections" not in process.stdout.readline():
            assert process.poll() is None
        done = subprocess.run(
            [sys.executable, "-m", "broker", "health", "--url", f"unix://{path}"], capture_output=True, text=True
        )
        process.terminate()
        process.communicate(timeout=60)
    assert (done.returncode, done.stdout) == (0, f"healthy: {path} answers\n")
