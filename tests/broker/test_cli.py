"""The command line, up to the call that serves."""

import io
import os
import re
import signal
import subprocess
import sys
import types
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from broker import cli


class FakeServer(types.ModuleType):
    """Stands in for broker.server: remembers what it was asked to serve and what it saw meanwhile."""

    def __init__(self) -> None:
        super().__init__("broker.server")
        self.config: Any = None
        self.log: Any = None
        self.pid_text = ""

    def serve(self, config: Any, log: Any) -> int:
        self.config, self.log = config, log
        if config.pidfile and os.path.exists(config.pidfile):
            with open(config.pidfile) as file:
                self.pid_text = file.read()
        return 7


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeServer:
    fake = FakeServer()
    monkeypatch.setitem(sys.modules, "broker.server", fake)
    monkeypatch.chdir(tmp_path)
    return fake


def test_serve_passes_the_configuration(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert cli.main(["serve", "--port", "7000", "--save", "", "--dir", "data", "--pidfile", "pid"]) == 7
    assert server.config.port == 7000
    assert server.config.save == ()
    assert os.getcwd() == str(tmp_path / "data")
    assert server.pid_text == f"{os.getpid()}\n"
    assert not (tmp_path / "data" / "pid").exists()


def test_the_log_follows_the_configuration(server: FakeServer, tmp_path: Path) -> None:
    arguments = [
        "serve",
        "--logfile",
        "log",
        "--log-format",
        "json",
        "--loglevel",
        "warning",
        "--io-threads",
        "4",
    ]
    assert cli.main(arguments) == 7
    assert server.log.level == "warning"
    server.config.set([(b"loglevel", b"debug")])
    server.log.debug("x")
    server.config.set([(b"log-format", b"text"), (b"log-timestamp-format", b"milliseconds")])
    server.log.warning("y")
    first, second = (tmp_path / "log").read_text().splitlines()
    assert first.startswith('{"time": "') and re.match(r"\d{13} warning ", second)


@pytest.mark.parametrize("words", [["--sentinel"], ["--port", "1", "--sentinel"]])
def test_a_sentinel_is_refused(server: FakeServer, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "sentinel mode is not supported" in line
    assert server.config is None


def test_called_as_redis_sentinel(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/redis-sentinel", "--port", "1"])
    assert cli.main() == 1
    assert "sentinel mode is not supported" in capsys.readouterr().err


def test_a_pid_file_that_can_not_be_written_is_only_a_warning(server: FakeServer, tmp_path: Path) -> None:
    assert cli.main(["serve", "--logfile", "log", "--pidfile", "none/pid"]) == 7
    assert "failed to write PID file" in (tmp_path / "log").read_text()


def test_a_mistake_ends_the_start(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--port", "x"]) == 1
    assert server.config is None
    assert capsys.readouterr().err.count("\n") == 1


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in (
        (["--help"], cli.usage()), (["-h"], cli.usage()), (["serve", "--help"], cli.SERVE_USAGE),
        (["serve", "-h"], cli.SERVE_USAGE),
    ):  # fmt: skip
        assert cli.main(arguments) == 0
        assert capsys.readouterr().out == text
    assert cli.main(["--version"]) == 0
    ours = capsys.readouterr().out
    assert re.fullmatch(r"trimaran \S+ \((compiled|partly compiled|pure)\)\n", ours)
    # pytest-redis, for one, reads the number out of redis-server's answer.
    assert cli.main(["serve", "-v"]) == 0
    assert re.fullmatch(
        r"Redis server v=8\.10\.\d+ sha=\S+ malloc=libc bits=64 build=0 \(.*\)\n", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "bind"),
    [
        ("", "127.0.0.1 -::1"),
        ("--port 7000 --appendonly no", "127.0.0.1 -::1"),
        ("--bind * -::*", "* -::*"),
        ("--bind 127.0.0.2", "127.0.0.2"),
        ("--protected-mode no", "* -::*"),
        ("--requirepass secret", "* -::*"),
        ("--user alice on nopass", "* -::*"),
        ("redis.conf", "* -::*"),
        ("redis.conf --port 7000", "* -::*"),
    ],
)
def test_who_is_listened_to(server: FakeServer, tmp_path: Path, arguments: str, bind: str) -> None:
    """Without a file and a password, nobody but this machine: protected mode would refuse all others."""
    (tmp_path / "redis.conf").write_text("maxclients 100\n")
    assert cli.main(["serve", *arguments.split(), "--logfile", "log"]) == 7
    assert " ".join(server.config.bind) == bind


def test_a_folder_that_is_not_there(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--dir", "/nowhere"]) == 1
    assert "/nowhere" in capsys.readouterr().err


def test_other_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert cli.main(["dance"]) == 2
    assert capsys.readouterr().err == f"{cli.usage()}trimaran: unknown command 'dance'; see trimaran --help\n"
    assert cli.main(["serv"]) == 2
    assert capsys.readouterr().err == "trimaran: unknown command 'serv'; did you mean serve?\n"


def test_called_as_redis_server(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/redis-server", "--port", "7001"])
    assert cli.main() == 7
    assert server.config.port == 7001


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "broker", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("trimaran ")


def further(words: Sequence[str]) -> int:
    """A command of another package."""
    return len(words)


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    known = metadata.EntryPoints(
        metadata.EntryPoint(name, f"{__name__}:further", cli.FURTHER) for name in ("dance", "serve")
    )
    monkeypatch.setattr(metadata, "entry_points", lambda **wanted: known.select(**wanted))
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or types.SimpleNamespace(further=further))


def test_further_commands_are_entry_points(entry_points: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dance", "a", "b"]) == 2
    assert cli.main(["sing"]) == 2
    assert "unknown command 'sing'" in capsys.readouterr().err
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.endswith("\n\nOf other packages:\n  dance\n")
    # nor does it list what is not installed
    assert "  serve " in shown and "  work " not in shown


def test_the_help_has_a_line_for_each_command_and_no_more() -> None:
    listed = [name for summaries in cli.SUMMARIES.values() for name in summaries]
    ours = {entry.name for entry in metadata.entry_points(group=cli.FURTHER) if entry.value.startswith("consumers.")}
    assert sorted(listed) == sorted((cli.COMMANDS.keys() | ours) - {"complete"})
    assert re.findall(r"^  ([a-z]+) +[a-z]", cli.usage(), re.M) == listed


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [("publish", "coredis", "consumers"), ("ui", "starlette", "ui"), ("dev", "anyio", "ui,reload")],
)
def test_a_further_command_whose_libraries_are_missing(
    name: str, missing: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    for module in [module for module in sys.modules if module.partition(".")[0] == "consumers"]:
        monkeypatch.delitem(sys.modules, module)
    entries = metadata.EntryPoints([metadata.EntryPoint(name, f"consumers.commands.{name}:main", cli.FURTHER)])
    monkeypatch.setattr(metadata, "entry_points", lambda **wanted: entries.select(**wanted))
    assert cli.main([name]) == 1
    written = capsys.readouterr()
    assert written.err == (
        f"trimaran {name}: {missing} is not installed; install it with pip install 'trimaran[{extra}]'\n"
    )
    assert not written.out


def test_no_entry_point_replaces_a_command_of_the_brokers_own(entry_points: None, server: FakeServer) -> None:
    assert cli.main(["serve", "--port", "7000"]) == 7


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["serve", "--help"], ["check", __file__], ["check", "--help"], ["health", "--help"],
     ["health", "--url", "redis://127.0.0.1:1"], ["tail", "--help"], ["queues", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_an_output_whose_reader_has_gone_ends_a_command_silently(words: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "broker", *words]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert done.stderr == b""
    # argparse ignores that its help can't be written.
    assert done.returncode == 128 + signal.SIGPIPE or (unbuffered and words[0] in ("tail", "queues"))


def test_check_answers_by_its_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.aof"
    file.write_bytes(b"*1\r\n$4\r\nPING\r\n")
    assert cli.main(["check", str(file)]) == 0
    assert "ok, 14 bytes" in capsys.readouterr().out
    file.write_bytes(b"*1\r\n$4\r\nPING\r\n*1\r\n")
    assert cli.main(["check", str(file)]) == 1
    for answer, status in (("\n", 1), ("Yes\n", 0)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        assert cli.main(["check", "--fix", str(file)]) == status
        assert "Go on? [y/N] " in capsys.readouterr().out
    assert file.read_bytes() == b"*1\r\n$4\r\nPING\r\n"
    assert cli.main(["check"]) == 2


PROGRAM = "import sys\nfrom broker.__main__ import main\nsys.exit(main())\n"


@pytest.mark.parametrize(
    ("arguments", "is_ours"),
    [(["-m", "broker"], True), (["trimaran"], True), (["app.py"], False), (["-m", "app"], False)],
)
def test_an_interrupt_during_the_first_imports(tmp_path: Path, arguments: list[str], is_ours: bool) -> None:
    # What the package imports before anything else.
    (tmp_path / "protocol.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    for name in ("trimaran", "app.py"):
        (tmp_path / name).write_text(PROGRAM)
    command = [sys.executable, *(str(tmp_path / word) if word == "trimaran" else word for word in arguments)]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(cli.__file__).parents[1]}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGINT
    assert (done.stderr == b"") == is_ours
