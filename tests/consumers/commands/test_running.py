"""What all commands do alike, as processes of their own: exit statuses, signals, a reader that goes away."""

import errno
import importlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import anyio
import pytest
from coredis.exceptions import AuthenticationFailureError, AuthenticationRequiredError

from broker.testing.pytest_plugin import BrokerOnPort, broker_on_port  # noqa: F401
from consumers.commands import publish as commands_publish
from consumers.commands.running import Output, positive, printable, reason_of
from consumers.errors import ConsumerError
from tests.certificates import Certificates
from tests.consumers.forked import forked
from tests.oracle.servers import free_port, start
from tests.oracle.wire import Connection


def words(module: str, *arguments: str) -> list[str]:
    """A command line that does what `trimaran` does once it is installed."""
    program = f"import sys; from consumers.commands.{module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program, *arguments]


Call = Callable[[str], bytes]


@pytest.fixture
def call(broker_on_port: BrokerOnPort) -> Iterator[Call]:  # noqa: F811
    """Send a command to the broker; gives the reply's bytes."""
    connection = Connection((broker_on_port.host, broker_on_port.port))
    yield lambda command: connection.call(*command.split())
    connection.close()


@pytest.fixture
def url(broker_on_port: BrokerOnPort) -> str:  # noqa: F811
    return broker_on_port.url


async def publish(*arguments: str) -> tuple[int, str]:
    """The exit status, and what is written to standard error."""
    with anyio.fail_after(60):
        async with forked(commands_publish.main, list(arguments)) as process:
            text = b"".join([data async for data in process.stderr]).decode()
            return await process.wait(), text


def run(module: str, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words(module, *arguments), capture_output=True, text=True, timeout=60, **options)


def test_a_command_that_works_ends_with_0(call: Call, url: str) -> None:
    done = run("publish", "--url", url, "--stream", "orders", "a=b")
    assert (done.returncode, done.stderr) == (0, "")
    assert call("XLEN orders") == b":1\r\n"
    done = run("tail", "--url", url, "orders", "--no-follow")
    assert done.stdout.endswith("\ta=b\n") and done.returncode == 0
    done = run("queues", "--url", url)
    assert (done.stdout.split("\t")[0], done.returncode) == ("orders", 0)
    done = run("publish", "--url", url, "news", input="a\nb\n")
    assert (done.stdout, done.returncode) == ("2\n", 0)


def test_a_server_that_is_not_there_is_one_line_and_1() -> None:
    done = run("publish", "--url", "redis://127.0.0.1:1", "news", "x")
    assert done.returncode == 1
    assert done.stdout == "" and done.stderr.startswith("trimaran publish: ") and done.stderr.count("\n") == 1
    assert done.stderr.endswith(": Connection refused\n")


def test_the_reason_is_the_first_errors_and_its_causes() -> None:
    away = ConnectionError("no way to a:1")
    away.__cause__ = OSError("all failed")
    away.__cause__.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "x")
    for error, reason in (
        (ExceptionGroup("", [ExceptionGroup("", [away]), ValueError("later")]), "no way to a:1: Connection refused"),
        (ConsumerError("no permission"), "no permission"),
        (TimeoutError(), "TimeoutError"),
        (AuthenticationRequiredError("HELLO must be"), "the server wants a password, in the URL: redis://"),
        (AuthenticationFailureError("invalid"), "the server refuses the user or the password: invalid"),
    ):
        assert reason_of(error).startswith(reason)


def test_an_error_of_the_server_is_one_line_and_1(call: Call, url: str) -> None:
    call("SET orders x")
    done = run("publish", "--url", url, "--stream", "orders", "a=b")
    assert done.returncode == 1
    assert done.stderr.startswith("trimaran publish: ") and done.stderr.count("\n") == 1
    assert "wrong kind of value" in done.stderr


@pytest.mark.parametrize("url", ["redis://", "x", "redis://h:port"])
async def test_a_url_that_is_none_is_2(url: str) -> None:
    status, text = await publish("--url", url, "news", "x")
    assert status == 2
    assert text.startswith(f"trimaran publish: {url}: ") and text.count("\n") == 1


@contextmanager
def started(module: str, *arguments: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A running command, killed at the end of the block if it still runs."""
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with subprocess.Popen(words(module, *arguments), **settings) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def tail(call: Call, url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`tail news`, once it listens and has printed a line, `x`, that is still to be read."""
    with started("tail", "--url", url, "news") as process:
        while call("PUBLISH news x") == b":0\r\n":
            assert process.poll() is None
            time.sleep(0.01)
        yield process


def error_text(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stderr is not None
    return process.stderr.read()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_quietly(call: Call, url: str, number: signal.Signals, status: int) -> None:
    with tail(call, url) as process:
        assert process.stdout is not None and process.stdout.readline() == b"x\n"
        process.send_signal(number)
        assert process.wait(60) == status
        assert error_text(process) == b""


def test_a_signal_ends_it_while_nobody_reads_the_output(call: Call, url: str) -> None:
    with tail(call, url) as process:
        for _ in range(50):
            call("PUBLISH news " + "x" * 10_000)
        process.terminate()
        assert process.wait(60) == 143


def test_it_ends_with_its_reader_though_nothing_more_comes(call: Call, url: str) -> None:
    with tail(call, url) as process:
        assert process.stdout is not None and process.stdout.readline() == b"x\n"
        process.stdout.close()
        assert process.wait(60) == 141
        assert error_text(process) == b""


def test_a_lost_connection_is_told_in_a_line_each_and_comes_back(call: Call, url: str) -> None:
    with tail(call, url) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"x\n"
        assert call("CLIENT KILL TYPE pubsub") == b":1\r\n"
        assert process.stderr.readline() == b"trimaran tail: the subscription was lost: the connection was lost\n"
        while call("PUBLISH news y") == b":0\r\n":
            time.sleep(0.01)
        assert process.stdout.readline() == b"y\n"
        assert process.stderr.readline() == b"trimaran tail: messages may be missing here (reconnected)\n"


def test_a_terminal_gets_a_table_that_is_refreshed(call: Call, url: str) -> None:
    call("XADD orders * a b")
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with started("queues", "--url", url, "orders", "--interval", "0.1", stdout=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        while b"orders" not in seen:
            seen += os.read(ours, 4096)
        call("XGROUP CREATE orders billing $")
        while b"billing" not in seen:
            seen += os.read(ours, 4096)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    os.close(ours)
    assert b"\x1b[" in seen and b"in hand" in seen


def test_what_is_printed_can_not_steer_a_terminal() -> None:
    assert printable(b"a\x1b[2J\n\t\xff\x00") == "a\\x1b[2J\\n\\t\\xff\\x00"
    assert printable("gr\u00fcn \u2028") == "gr\u00fcn \\u2028"
    assert printable(b"") == ""


def test_numbers_above_zero() -> None:
    assert positive("12") == 12
    for text in ("0", "-1", "1_0", "\u0661", "", "x"):
        with pytest.raises(Exception, match="not a number above zero"):
            positive(text)


async def test_a_line_that_nobody_reads_is_an_error() -> None:
    ours, theirs = os.pipe()
    output = Output(theirs)
    await output.line("\u00fc\udcff")
    assert os.read(ours, 100) == "\u00fc\\udcff\n".encode()
    assert not output.is_terminal
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        await output.line("x")
    os.close(theirs)


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[Certificates, int]]:
    """A broker that demands certificates of its clients, and its encrypted port."""
    certificates, port, tls_port = Certificates(tmp_path), free_port(), free_port()
    directives = {"port": str(port), "tls-port": str(tls_port), "bind": "127.0.0.1", "save": ""}
    named = {f"--{name}": value for name, value in (directives | certificates.directives()).items()}
    options = [word for pair in named.items() for word in pair]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *options], port)
    try:
        yield certificates, tls_port
    finally:
        server.stop()


async def test_an_encrypted_connection(encrypted: tuple[Certificates, int]) -> None:
    certificates, port = encrypted
    trust = ["--cacert", str(certificates.ca)]
    ours = ["--cert", str(certificates.client_certificate), "--key", str(certificates.client_key)]
    files = f"ssl_certfile={certificates.client_certificate}&ssl_keyfile={certificates.client_key}"
    for words_ in (
        ["--url", f"redis://127.0.0.1:{port}", "--tls", *trust, *ours],
        ["--url", f"rediss://127.0.0.1:{port}", *trust, *ours],
        ["--url", f"rediss://127.0.0.1:{port}", "--insecure", *ours],
        ["--url", f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates.ca}&{files}"],
    ):
        assert await publish("news", "x", *words_) == (0, "")
    for words_, reason in (
        (["--url", f"rediss://127.0.0.1:{port}", *ours], "certificate verify failed"),
        (["--url", f"rediss://127.0.0.1:{port}", *trust], ""),  # the server wants a certificate
        (["--url", f"redis://127.0.0.1:{port}"], ""),  # not encrypted
    ):
        status, text = await publish("news", "x", *words_)
        assert status == 1 and text.count("\n") == 1 and reason in text


@pytest.mark.parametrize(
    ("words_", "text"),
    [
        (["--cacert", "x"], "--cacert: only for rediss://, or redis:// with --tls"),
        (["--insecure", "--url", "unix:///x"], "--insecure: only for rediss://, or redis:// with --tls"),
        (["--tls", "--url", "unix:///x"], "--tls: only for rediss://, or redis:// with --tls"),
        (["--tls", "--cert", "/nowhere"], "/nowhere: no certificate and key: No such file or directory"),
    ],
)
async def test_options_that_can_not_be_are_2(words_: list[str], text: str) -> None:
    assert await publish("news", "x", *words_) == (2, f"trimaran publish: {text}\n")


NAMES = sorted(entry.name for entry in metadata.entry_points(group="trimaran.commands"))


@pytest.mark.parametrize("name", NAMES)
def test_help_says_of_every_argument_what_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        importlib.import_module(f"consumers.commands.{name}").main(["--help"])
    usage, separator, text = capsys.readouterr().out.partition("\n\n")
    assert usage.startswith(f"usage: trimaran {name} ") and separator
    arguments = text[re.search(r"^(positional arguments|options):$", text, re.M).start() :]  # type: ignore[union-attr]
    # a word by itself has its explanation on the next line, further to the right
    entries = re.findall(r"^  (\S.*?)(?:   *| *\n {20,})(\S.*)$|^  (\S.*)$", arguments, re.M)
    assert len(entries) > 1 and not [alone for _, _, alone in entries if alone]


def test_a_name_that_can_not_be_sent_is_one_line(
    broker_on_port: BrokerOnPort,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert commands_publish.main(["--url", broker_on_port.url, "odd-\udcff", "a=1"]) == 2
    assert capfd.readouterr().err == "trimaran publish: a name that is no valid UTF-8 can't be sent\n"
