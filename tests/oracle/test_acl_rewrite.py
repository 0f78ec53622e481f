"""Users on the disk beside the reference: the lines of CONFIG REWRITE, and ACL SAVE's file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle import servers
from tests.oracle.harness import requires
from tests.oracle.wire import Connection, encode

pytestmark = requires("8.10")

USERS = [
    "plain", "plain on", "plain on nopass", "plain on >one >two", "plain >one nopass",
    "plain on >one allkeys allchannels +@all", "keys ~a ~b:* %R~r %W~w %RW~rw %R~both %W~both", "keys ~* ~a",
    "keys ~a resetkeys", "channels &a &b:* resetchannels &c", "channels &*",
    "commands +get +set -@dangerous +config|get -config", "commands +@all -@admin +config|get -flushall",
    "commands +@read -get +get", "commands +select|0", "commands allcommands nocommands +ping",
    "commands -@all +@string -set +@hash -@write", "selectors +get ~a (+set ~b) (%W~c +del -@keyspace &x)",
    "selectors (+@all)", "selectors (+get ~a) clearselectors (~b)", "flags skip-sanitize-payload",
    "flags on reset off", "flags sanitize-payload on", "ünïcode on nopass ~ключ:* &каналы", "zz on >pw",
    "a.b:c-d on >pw ~{x}* ~[a-z]?",
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["CONFIG REWRITE", "ACL SAVE"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[tuple[Connection, Path]]]:
    """A client of each server, started with a configuration file, and the file that `saved` writes: that one, or the
    ACL file."""
    user = "user before on nopass ~k +get\n"
    with contextlib.ExitStack() as ends:
        sides = []
        for name, command in (
            ("theirs", [str(servers.find_reference()[0])]),
            ("ours", [sys.executable, "-m", "broker", "serve"]),
        ):
            port = servers.free_port()
            config, users = tmp_path / f"{name}.conf", tmp_path / f"{name}.acl"
            text = f"port {port}\nbind 127.0.0.1\nsave ''\n"
            config.write_text(text + (f"aclfile {users}\n" if request.param else user))
            users.write_text(user)
            server = servers.start(name, [*command, str(config)], port)
            ends.callback(server.stop)
            connection = server.connect()
            ends.callback(connection.close)
            sides.append((connection, users if request.param else config))
        yield sides


def saved(connection: Connection, path: Path) -> list[str]:
    """The lines of users after saving, in their order."""
    command = ("ACL", "SAVE") if path.suffix == ".acl" else ("CONFIG", "REWRITE")
    assert connection.call(*command) == b"+OK\r\n"
    return [line for line in path.read_text().splitlines() if path.suffix == ".acl" or line.startswith("user ")]


def test_the_lines_of_users(both: list[tuple[Connection, Path]]) -> None:
    for words in USERS:
        replies = []
        for connection, _ in both:
            connection.send(encode(["ACL", "SETUSER", *words.split()]))
            replies.append(connection.receive())
        assert (words, replies[1]) == (words, replies[0])
        theirs, ours = (saved(*side) for side in both)
        assert theirs and ours == theirs, words
        if words.split()[0] in ("plain", "keys", "channels", "commands", "selectors", "flags"):
            for connection, _ in both:
                connection.call("ACL", "DELUSER", words.split()[0])
    for connection, _ in both:
        for command in ("ACL DELUSER before", "ACL SETUSER default >pw resetkeys ~k* -@pubsub", "AUTH default pw"):
            assert connection.call(*command.split())[:1] in b"+:"
    theirs, ours = (saved(*side) for side in both)
    assert ours == theirs


def test_what_was_saved_is_loaded(both: list[tuple[Connection, Path]]) -> None:
    """Each server reads the other's lines, and says the same of them."""
    told = []
    for connection, path in both:
        for words in USERS:
            connection.call("ACL", "SETUSER", *words.split())
        saved(connection, path)
        told.append(connection.call("ACL", "LIST"))
    assert told[1] == told[0]
    if both[0][1].suffix == ".acl":
        texts = [path.read_text() for _, path in both]
        for (connection, path), text in zip(both, reversed(texts), strict=True):
            path.write_text(text)
            assert connection.call("ACL", "LOAD") == b"+OK\r\n"
            assert connection.call("ACL", "LIST") == told[0]
