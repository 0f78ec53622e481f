"""What must be seen nowhere: passwords, and with hide-user-data-from-log keys and values in the log.

A broker that logs everything is given secrets in every way, right and wrong, and then all that it shows is searched.
"""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from tests.broker.formats.rdb.test_unsupported import SPARSE, record
from tests.broker.persistence.files_made import sealed_file
from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import CLOSED, SILENT, encode

Words = list[bytes]

EVERYTHING = (
    "SLOWLOG GET -1", "COMMANDLOG GET -1 large-request", "COMMANDLOG GET -1 large-reply", "LATENCY LATEST",
    "INFO everything", "CLIENT LIST", "ACL LOG 1000", "ACL LIST", "ACL USERS", "COMMAND LIST", "MEMORY STATS",
    "LATENCY DOCTOR",
)  # fmt: skip

GIVING = [
    "AUTH *", "AUTH default *", "AUTH nobody *", "AUTH default * more", "AUTH * * *", "HELLO 3 AUTH default *",
    "HELLO 2 SETNAME me AUTH nobody *", "HELLO 9 AUTH default *", "HELLO 3 AUTH default * SETNAME",
    "HELLO 3 nosuch AUTH a *", "ACL SETUSER app on >* ~* +@all", "ACL SETUSER app >* nosuch", "ACL SETUSER app <*",
    "ACL SETUSER app >a (~k >*)", "ACL SETUSER app nosuch >*", "ACL SETUSER app *",
    "MIGRATE 127.0.0.1 {port} k 0 100 AUTH *", "MIGRATE 127.0.0.1 {port} k 0 100 AUTH2 nobody *",
    "MIGRATE 127.0.0.1 {port} '' 0 100 COPY AUTH2 default * KEYS k", "MIGRATE 127.0.0.1 1 k 0 100 REPLACE AUTH *",
    "MIGRATE 127.0.0.1 1 k x 100 AUTH *", "MIGRATE 127.0.0.1 1 k 0 100 AUTH * X", "CONFIG SET masterauth *",
    "CONFIG SET primaryauth *", "CONFIG SET MasterUser *", "CONFIG SET tls-key-file-pass *",
    "CONFIG SET tls-client-key-file-pass *", "CONFIG SET maxclients 1000 requirepass * nosuch 1",
    "CONFIG SET requirepass * maxclients x", "CONFIG SET requirepass * requirepass *", "CONFIG SET requirepass",
    "CONFIG SET masterauth * hz", "CONFIG SET requirepass * hide-user-data-from-log no",
]  # fmt: skip
SURROUNDINGS = ["alone", "transaction", "inline", "pipeline", "restricted", "script"]


def served(*options: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--loglevel", "debug", "--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000"]
    command += ["--latency-monitor-threshold", "1", "--acllog-max-len", "1000", "--commandlog-request-larger-than", "0"]
    command += ["--commandlog-reply-larger-than", "0", "--enable-debug-command", "yes", *options]
    server = start("broker", command, port)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def talkative() -> Iterator[Server]:
    yield from served()


@pytest.fixture(scope="module")
def discreet() -> Iterator[Server]:
    yield from served("--hide-user-data-from-log", "yes")


def log_of(server: Server) -> bytes:
    assert server.folder is not None
    return (server.folder / "log").read_bytes()


_numbers = itertools.count()


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(GIVING), st.sampled_from(SURROUNDINGS), st.booleans()), min_size=1, max_size=8)
)
def test_secrets_are_seen_nowhere(talkative: Server, requests: list[tuple[str, str, bool]]) -> None:
    secret = b"S3cret%dTheEnd" % next(_numbers)
    control, monitor = talkative.connect(), talkative.connect()
    control.call("SET", "k", "v")
    assert control.call("ACL", "SETUSER", "guest", "on", "nopass", "+ping") == b"+OK\r\n"
    assert monitor.call("MONITOR") == b"+OK\r\n"
    replies = []
    for template, surroundings, upper in requests:
        words = template.replace("{port}", str(talkative.address[1])).split()
        words = [word.upper() if upper and word.isalpha() else word for word in words]
        filled = [b"" if word == "''" else word.encode().replace(b"*", secret) for word in words if word != "~*"]
        replies += give(talkative, filled, surroundings)
        control.call("CONFIG", "SET", "requirepass", "", "masteruser", "")
    assert control.call("ECHO", "the-end").endswith(b"the-end\r\n")
    shown = b""
    while b"the-end" not in (line := monitor.receive()):
        assert line not in (CLOSED, SILENT)
        shown += line
    for command in EVERYTHING:
        shown += control.call(*command.split())
    assert b"SLOWLOG" in shown or b"config|set" in shown
    assert secret not in shown + log_of(talkative)
    # An error may quote what its client has sent, but no password.
    assert not [reply for reply in replies if secret in reply and b"ACL SETUSER modifier" not in reply]
    control.call("ACL", "DELUSER", "app", "guest")
    for command in ("SLOWLOG RESET", "ACL LOG RESET", "COMMANDLOG RESET large-request"):
        control.call(*command.split())
    control.close()
    monitor.close()


def give(server: Server, words: Words, surroundings: str) -> list[bytes]:
    """Send a request in some surroundings, as a new client; returns the replies."""
    client = server.connect()
    if surroundings == "restricted":
        client.call("AUTH", "guest", "x")
    if surroundings == "inline":
        client.send(b" ".join(word or b"''" for word in words) + b"\r\n")
    elif surroundings == "pipeline":
        client.send(encode(["PING"]) * 2 + encode(words) + encode(["PING"]))
    elif surroundings == "transaction":
        client.send(encode(["MULTI"]) + encode(["PING"]) + encode(words) + encode(["EXEC"]))
    elif surroundings == "script":
        # What is refused within scripts is not executed; the name of the command is no secret.
        client.send(encode(["EVAL", "return redis.pcall(ARGV[1], ARGV[2] or '')", 0, *words[:1]]))
    else:
        client.send(encode(words))
    count = {"pipeline": 4, "transaction": 4}.get(surroundings, 1)
    replies = [client.receive() for _ in range(count)]
    client.close()
    return replies


USING = [
    "SET * *", "GET *", "INCR *", "LPUSH * *", "HSET * * *", "ZADD * 1 *", "XADD * 1-1 * *", "SET * * EX x",
    "RESTORE * 0 *", "RESTORE * 0 * REPLACE", "EVAL * 0", "EVAL return(redis.call('GET',KEYS[1])) 1 *",
    "EVAL error(ARGV[1]) 0 *", "EVAL return(redis.call(ARGV[1])) 0 *", "FUNCTION LOAD *", "SUBSCRIBE *",
    "PUBLISH * *", "*", "* *", "CONFIG SET * *", "OBJECT ENCODING *", "DEBUG OBJECT *", "MIGRATE 127.0.0.1 1 * 0 100",
    "ACL SETUSER * on nopass", "AUTH * *", "CLIENT SETNAME *", "RENAME * *", "SORT * BY * GET *",
    "BITFIELD * SET u8 0 *", "EVALSHA * 0", "DEBUG RELOAD", "BLPOP * 0.01", "WATCH *", "SCRIPT LOAD *",
    "FUNCTION RESTORE *", "XGROUP CREATE * * $ MKSTREAM",
]  # fmt: skip
RAW = [b"*1\r\n$-5\r\n*", b"*x*\r\n", b"*2\r\n$3\r\nGET\r\n*\r\n", b'SET "*\r\n', b"GET / HTTP/1.1\r\nHost: *\r\n\r\n"]


def test_with_user_data_hidden_the_log_has_neither_keys_nor_values(discreet: Server) -> None:
    data = b"Us3rData"
    for number, template in enumerate(USING):
        for name in (b"%b%d" % (data, number % 3), data):
            client = discreet.connect()
            client.send(encode([word.encode().replace(b"*", name) for word in template.split()]))
            assert client.receive() != SILENT
            client.close()
    for raw in RAW:
        client = discreet.connect()
        client.send(
            raw.replace(b"*", data, 1) if raw.startswith((b"S", b"G")) else raw.replace(b"\r\n*", b"\r\n" + data)
        )
        client.receive()
        client.close()
    assert discreet.alive()
    log = log_of(discreet)
    assert b"*redacted*" in log, "nothing was logged that had to be hidden"
    assert data not in log


@pytest.mark.parametrize("skip", ["yes", "no"])
def test_with_user_data_hidden_the_start_names_no_key(tmp_path: Path, skip: str) -> None:
    (tmp_path / "dump.rdb").write_bytes(sealed_file(record(SPARSE, b"Us3rData") + record(b"\0\1v", b"k"), 15))
    port = free_port()
    command = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--hide-user-data-from-log", "yes", "--rdb-skip-unsupported", skip, "--loglevel", "debug"]
    with subprocess.Popen(
        [*command, "--dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        log = b""
        for line in process.stdout:
            log += line
            if b"Ready to accept connections" in line:
                process.terminate()
    assert b"*redacted*" in log and b"rdb-skip-unsupported" in log
    assert b"Us3rData" not in log
