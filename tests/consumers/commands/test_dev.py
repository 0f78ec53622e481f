"""`trimaran dev`: all of it from one command, as a user would run it."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from consumers.commands import dev

APP = """
from consumers.jobs import Queue
queue = Queue("dev")
@queue.job()
async def double(number: int) -> int:
    return number * FACTOR
FACTOR = 2
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "broker", "dev", *words]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def running(app: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command("app:queue", "--port", "0", "--console-port", "0"),
        cwd=app, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def until_line(process: "subprocess.Popen[str]", word: str) -> str:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(word):
            return line.split()[1]
    raise AssertionError("".join(seen))


def result(app: Path, url: str) -> str:
    program = (
        "import anyio, app\n"
        "async def main():\n"
        f"    async with app.queue.open({url!r}):\n"
        "        print(await (await app.double.enqueue(21)).result(timeout=60))\n"
        "anyio.run(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=app, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_broker_worker_and_console(running: "subprocess.Popen[str]", app: Path) -> None:
    url = until_line(running, "broker")
    console = until_line(running, "console")
    assert result(app, url) == "42"
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(console) as page:
                assert page.status == 200
                break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    (app / "app.py").write_text(APP.replace("FACTOR = 2", "FACTOR = 3"))
    while result(app, url) != "63":
        assert time.monotonic() < deadline
    with redis.Redis.from_url(url) as client:
        assert client.config_get("save") == {"save": ""} and client.config_get("appendonly") == {"appendonly": "no"}
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    with pytest.raises(redis.ConnectionError), redis.Redis.from_url(url) as client:
        client.ping()
    with pytest.raises(OSError):
        urllib.request.urlopen(console)


def test_a_part_that_ends_ends_it(app: Path) -> None:
    (app / "data").mkdir()
    (app / "data" / "appendonlydir").touch()  # which should be a folder
    done = subprocess.run(
        command("--keep", "data", "--port", "0", "--console-port", "0"),
        cwd=app, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "appendonlydir" in done.stdout) == (1, True)
    assert done.stderr.splitlines()[-1] == "trimaran dev: the broker has ended with status 1"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["app"], "'app' is not of the form MODULE:QUEUE, as in myapp:queue"),
        (["app:"], "'app:' is not of the form MODULE:QUEUE, as in myapp:queue"),
        (["--keep", "nosuch"], "--keep: there is no folder nosuch"),
        (["--port", "x"], "argument --port: 'x' is not a port"),
    ],
)
def test_a_mistake_is_told_before_anything_is_started(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        dev.main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"trimaran dev: {text}; see trimaran dev --help\n"


@pytest.mark.parametrize(("words", "missing"), [([], "starlette"), (["app:queue"], "watchfiles")])
def test_a_library_that_is_missing_is_named_before_anything_is_started(
    words: list[str], missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "find_spec", lambda name: None if name == missing else name)
    assert dev.main(words) == 1
    assert capsys.readouterr().err == (
        f"trimaran dev: {missing} is not installed; install it with pip install 'trimaran[ui,reload]'\n"
    )


def test_a_port_in_use_is_one_line(app: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(command("--port", port), cwd=app, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"trimaran dev: port {port} of this machine: Address already in use\n"
