"""A broker inside a Trio program: clients without a port, order of shutdown, what the timers do."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from broker import open_broker
from broker.config import Config
from broker.network.listeners import StartError
from broker.persistence.persistence import Storage
from broker.process.clock import TrioClock
from broker.process.log import Log
from broker.server import serve
from tests.broker.persistence.simulated_disk import SimulatedDisk


async def ask(stream: trio.abc.Stream, request: bytes) -> bytes:
    """Send a request and return what comes back first."""
    await stream.send_all(request)
    return bytes(await stream.receive_some())  # type: ignore[attr-defined]


async def test_a_client_needs_no_port() -> None:
    async with open_broker() as server, await server.connect() as client:
        assert await ask(client, b"SET k v\r\n") == b"+OK\r\n"
        assert await ask(client, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") == b"$1\r\nv\r\n"
        assert server.broker.tcp_port == 0


async def test_clients_share_the_databases() -> None:
    async with open_broker() as server, await server.connect() as first, await server.connect() as second:
        await ask(first, b"SET k v\r\n")
        assert await ask(second, b"GET k\r\n") == b"$1\r\nv\r\n"


async def test_two_brokers_share_nothing() -> None:
    async with (
        open_broker() as one,
        open_broker() as other,
        await one.connect() as client_of_one,
        await other.connect() as client_of_other,
    ):
        await ask(client_of_one, b"SET k v\r\n")
        assert await ask(client_of_other, b"GET k\r\n") == b"$-1\r\n"
        assert other.broker.commands.by_name[b"set"].calls == 0


async def test_leaving_the_block_closes_the_clients() -> None:
    async with open_broker() as server:
        client = await server.connect()
        await ask(client, b"PING\r\n")
    assert await client.receive_some() == b""
    await client.aclose()


async def test_tcp_and_unix_sockets(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sock")
    async with open_broker({"unixsocket": path, "unixsocketperm": "700"}) as server:
        port = server.listeners.open_tcp("127.0.0.1", 0)
        async with await trio.open_tcp_stream("127.0.0.1", port) as tcp, await trio.open_unix_socket(path) as unix:
            assert await ask(tcp, b"PING\r\n") == await ask(unix, b"PING\r\n") == b"+PONG\r\n"
        assert os.stat(path).st_mode & 0o777 == 0o700
    assert not os.path.exists(path)


async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with open_broker() as server:
            with pytest.raises(StartError, match=r"TCP listening socket 127\.0\.0\.1:[0-9]+: Address already in use"):
                server.listeners.open_tcp("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ({"nothing": "1"}, "there is no directive 'nothing'"),
        ({"max_memory": "1"}, "there is no directive 'max_memory'"),
        ({"maxmemory_policy": "1"}, "there is no directive 'maxmemory_policy'; did you mean maxmemory-policy?"),
        ({7: "1"}, "there is no directive 7"),
        ({"port": 6379}, "the value of port must be a string as in redis.conf, not 6379"),
        ({"save": None}, "the value of save must be a string as in redis.conf, not None"),
        ({"appendfsync": b"no"}, "the value of appendfsync must be a string as in redis.conf, not b'no'"),
        ({"logfile": "x"}, "logfile: only a broker that is a process of its own has this, not one inside a program"),
        ({"port": "x"}, "port: argument couldn't be parsed into an integer"),
    ],
)
async def test_a_directive_that_is_refused_is_a_value_error(directives: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        async with open_broker(directives):
            pytest.fail("it has started")


@pytest.mark.parametrize("directives", [{"appendonly": "yes", "save": ""}, {"save": "1 1"}])
async def test_a_folder_that_takes_no_files_is_named_with_the_reason(directives: dict[str, str]) -> None:
    class ReadOnly(SimulatedDisk):
        def lock(self, path: str) -> None:
            raise OSError(errno.EROFS, "Read-only file system", path)

    text = ""
    try:
        async with open_broker({"dir": "/", **directives}, storage=Storage(ReadOnly())):
            pytest.fail("it has started")
    except* StartError as problems:
        text = str(problems.exceptions[0])
    assert text == "can't keep files in the folder /: Read-only file system"


def test_the_slow_build_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMARAN_PURE", "1")
    with _start("--port", "0", "--unixsocket", str(tmp_path / "u"), "--dir", str(tmp_path)) as process:
        output = read_until(process, "Ready to accept")
        process.terminate()
        process.communicate(timeout=60)
    assert output.count("this is the slow build") == 1


async def test_a_client_that_has_sent_all_still_gets_all_replies() -> None:
    async with open_broker() as server, await server.connect() as client:
        await ask(client, b"SET k " + b"x" * 60_000 + b"\r\n")
        await client.send_all(b"GET k\r\n" * 500)
        await client.send_eof()
        received = 0
        while data := await client.receive_some():
            received += len(data)
        assert received == 500 * len(b"$60000\r\n" + b"x" * 60_000 + b"\r\n")


async def test_maxclients() -> None:
    async with (
        open_broker({"maxclients": "2"}) as server,
        await server.connect() as first,
        await server.connect(),
        await server.connect() as third,
    ):
        assert await third.receive_some() == b"-ERR max number of clients reached\r\n"
        assert await third.receive_some() == b""
        assert await ask(first, b"PING\r\n") == b"+PONG\r\n"
        assert server.broker.stats.clients_refused == 1


async def test_protected_mode_refuses_strangers() -> None:
    async with open_broker() as server:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as client,
        ):
            accepted, _ = listener.accept()
            server.listeners.admit(accepted, b"192.0.2.1:5000")
            assert client.recv(100).startswith(b"-DENIED ")


async def test_a_password_ends_protected_mode() -> None:
    async with open_broker({"requirepass": "secret"}) as server:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
            server.listeners.admit(accepted, b"192.0.2.1:5000")
            client.setblocking(False)
            async with trio.SocketStream(trio.socket.from_stdlib_socket(client)) as stream:
                assert await ask(stream, b"PING\r\n") == b"-NOAUTH Authentication required.\r\n"


async def test_an_expired_key_goes_without_being_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_broker(clock=TrioClock()) as server, await server.connect() as client:
        await ask(client, b"SET k v PX 5000\r\n")
        database = server.broker.keyspace.databases[0]
        await trio.sleep(4.9)
        assert b"k" in database.data
        await trio.sleep(0.2)
        assert b"k" not in database.data
        assert not database.expires


async def test_many_keys_due_at_once_go_in_batches(autojump_clock: trio.testing.MockClock) -> None:
    async with open_broker(clock=TrioClock()) as server:
        database = server.broker.keyspace.databases[0]
        due = server.broker.clock.read() + 1000
        for n in range(5000):
            database.add(b"%d" % n, b"v")
            database.expire_at(b"%d" % n, due)
        await trio.sleep(1.01)
        assert server.broker.keyspace.expired == 5000
        assert not server.broker.keyspace.overdue


async def test_idle_clients_are_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_broker({"timeout": "10"}, clock=TrioClock()) as server,
        await server.connect() as idle,
        await server.connect() as subscriber,
    ):
        await ask(idle, b"PING\r\n")
        await ask(subscriber, b"SUBSCRIBE news\r\n")
        await trio.sleep(9)
        assert len(server.broker.sessions) == 2
        await trio.sleep(4)
        assert await idle.receive_some() == b""
        assert len(server.broker.sessions) == 1


@pytest.mark.parametrize("hidden", [False, True])
async def test_what_a_verbose_log_says_of_clients(
    hidden: bool, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log("verbose", str(tmp_path / "log"))
    directives = {"timeout": "10", "requirepass": "pass1", "maxclients": "1"}
    directives["hide-user-data-from-log"] = "yes" if hidden else "no"
    async with open_broker(directives, log=log, clock=TrioClock()) as server, await server.connect() as client:
        for request in (b"AUTH mallory guess1\r\n", b"HELLO 3 AUTH default guess2\r\n"):
            assert b"WRONGPASS" in await ask(client, request)
        async with await server.connect() as refused:
            assert b"max number of clients" in await refused.receive_some()
        assert b"OK" in await ask(client, b"AUTH pass1\r\n")
        await trio.sleep(12)
    text = (tmp_path / "log").read_text()
    user = "*redacted*" if hidden else "mallory"
    at = 0
    for words in (
        "Accepted a client id=1 addr=127.0.0.1:0", f"failed AUTH id=1 addr=127.0.0.1:0 user={user}",
        "failed AUTH id=1", "Error accepting a client connection addr=127.0.0.1:0", "max number of clients",
        "Closing idle client id=1", "Client closed connection id=1",
    ):  # fmt: skip
        at = text.index(words, at)
    for secret in ("guess1", "guess2", "pass1"):
        assert secret not in text


def test_a_broker_that_fails_says_so_in_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> int:
        raise KeyError("".join(("sec", "ret")))

    monkeypatch.setattr("broker.server._serve", fail)
    log = Log(path=str(tmp_path / "log"))
    log.hide_user_data(True)
    config = Config()
    config.set_proc_title = False
    assert serve(config, log) == 1
    text = (tmp_path / "log").read_text()
    assert "the broker has failed unexpectedly error=KeyError" in text and "secret" not in text


async def test_user_data_is_hidden_from_when_that_is_asked_for(tmp_path: Path) -> None:
    log = Log("verbose", str(tmp_path / "log"))
    async with open_broker({"requirepass": "p"}, log=log) as server, await server.connect() as client:
        for name, hidden in (("first", "yes"), ("second", "no"), ("third", "yes")):
            await ask(client, b"AUTH %b guess\r\n" % name.encode())
            server.broker.config.set([(b"hide-user-data-from-log", hidden.encode())])
    text = (tmp_path / "log").read_text()
    assert [f"user={name}" in text for name in ("first", "second", "third")] == [True, False, True]
    assert text.count("user=*redacted*") == 1


async def test_who_waits_for_the_broker_is_not_idle(autojump_clock: trio.testing.MockClock) -> None:
    """A BLPOP that is served after longer than `timeout`, and a SET that CLIENT PAUSE held as long."""
    async with open_broker({"timeout": "10"}, clock=TrioClock()) as server, await server.connect() as waiting:
        await waiting.send_all(b"BLPOP l 0\r\n")
        await trio.sleep(50.5)
        async with await server.connect() as other, await server.connect() as paused:
            assert await ask(other, b"RPUSH l x\r\n") == b":1\r\n"
            assert await waiting.receive_some() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
            assert await ask(other, b"CLIENT PAUSE 50000 WRITE\r\n") == b"+OK\r\n"
            await paused.send_all(b"SET k v\r\n")
            await trio.sleep(9)
            assert await ask(waiting, b"PING\r\n") == b"+PONG\r\n"
            await trio.sleep(41.5)
            assert await paused.receive_some() == b"+OK\r\n"
            await trio.sleep(9)
            assert await ask(paused, b"PING\r\n") == b"+PONG\r\n"
            await trio.sleep(12)
            assert not server.broker.sessions


async def test_a_slow_reader_is_not_idle(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        open_broker({"timeout": "10"}, clock=TrioClock()) as server,
        await server.connect() as slow,
        await server.connect() as deaf,
    ):
        server.broker.keyspace.databases[0].add(b"k", b"x" * 30_000_000)
        for client in (slow, deaf):
            await client.send_all(b"GET k\r\n")
        received = 0
        while received < 30_000_000:
            await trio.sleep(0.5)
            data = await slow.receive_some(1 << 20)
            assert data, f"closed after {received} bytes"
            received += len(data)
        assert [session.id for session in server.broker.sessions.values()] == [1]  # only the deaf one was closed
        assert await ask(slow, b"PING\r\n") in (b"\r\n+PONG\r\n", b"+PONG\r\n", b"\n+PONG\r\n")


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What the process prints up to the line with these words; one that never prints them is killed."""
    assert process.stdout is not None
    patience = threading.Timer(20, process.kill)
    patience.start()
    try:
        lines = [process.stdout.readline()]
        while words not in lines[-1]:
            assert lines[-1], "".join(lines)
            lines.append(process.stdout.readline())
    finally:
        patience.cancel()
    return "".join(lines)


def wait_for(log: Path, words: str) -> None:
    """Wait until the file has them."""
    deadline = time.monotonic() + 60
    while not log.exists() or words not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "broker", "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_shuts_down_in_order(tmp_path: Path, number: signal.Signals) -> None:
    path = str(tmp_path / "broker.sock")
    with _start("--port", "0", "--unixsocket", path, "--dir", str(tmp_path)) as process:
        assert process.stdout is not None
        line = read_until(process, "* Ready to accept connections unix").splitlines()[-1]
        assert f"pid {process.pid}" in line and str(tmp_path) in line
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert f"Received {number.name}" in rest and "User requested shutdown" in rest
    assert rest.rstrip().endswith("bye bye...")
    assert not os.path.exists(path)


def test_stray_signals_end_nothing_and_hangup_opens_the_log_anew(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.sock")
    log = tmp_path / "log"
    with _start("--port", "0", "--unixsocket", path, "--dir", str(tmp_path), "--logfile", str(log)) as process:
        wait_for(log, "Ready to accept")
        for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
            process.send_signal(number)
        log.rename(tmp_path / "old")
        process.send_signal(signal.SIGHUP)
        wait_for(log, "reopened the log")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+PONG\r\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert "bye bye" in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_modules_are_imported_ends_the_start_without_a_word(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "trio.py").write_text(f"import os, time\nos.kill(os.getpid(), {number.value})\ntime.sleep(60)\n")
    with subprocess.Popen(
        [sys.executable, "-m", "broker", "serve", "--port", "0", "--dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ) as process:
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (-number, b"")


def test_what_launchers_and_test_harnesses_wait_for(tmp_path: Path) -> None:
    """Words of redis-server's log, in the order in which its moments come."""
    words = ["--port", "0", "--unixsocket", str(tmp_path / "u"), "--dir", str(tmp_path), "--save", "3600 1"]
    output = ""
    for _ in range(2):
        with _start(*words) as process:
            assert process.stdout is not None
            output += read_until(process, "* Ready to accept connections unix")
            process.send_signal(signal.SIGTERM)
            output += process.stdout.read()
            assert process.wait(60) == 0
    at = 0
    for expected in (
        "Running mode=standalone, port=0", "PID: ", "Redis version=", "Server initialized",
        "* Ready to accept connections unix", "Received SIGTERM scheduling shutdown", "User requested shutdown",
        "Saving the final RDB snapshot before exiting", "DB saved on disk", "bye bye...",
        "Done loading RDB, keys loaded: 0, keys expired: 0.", "DB loaded from disk: ", "Ready to accept connections",
    ):  # fmt: skip
        at = output.index(expected, at)


def test_a_start_that_fails_says_why_in_one_line(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        _start("--port", str(taken.getsockname()[1]), "--bind", "127.0.0.1", "--dir", str(tmp_path)) as process,
    ):
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "warning" in output.splitlines()[-1] and "Could not create server TCP listening socket 127.0.0.1" in output
