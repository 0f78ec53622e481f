"""Executes cases on a broker with an append-only file, and replays what it appended on other servers."""

import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader

from broker.formats.aof.manifest import parse as parse_manifest
from broker.formats.packed.crc64 import crc64
from broker.values.streams.older import RELEASED
from tests.oracle import servers
from tests.oracle.effects.cases import Case, Line, words
from tests.oracle.wire import Connection, Node, encode, frame_end, parse

__all__ = [
    "Keyspace",
    "Recorded",
    "Recorder",
    "as_of_7_0",
    "commands_of",
    "keyspace_of",
    "of_version",
    "replay",
    "with_owners",
]

DATABASES = 16
WAIT_SECONDS = 60

Plain = bytes | list["Plain"]
Keyspace = dict[tuple[int, bytes], Plain]
"""Every key with what is comparable of it; the libraries of functions are under the empty name of database -1."""

# Facts that depend on how a server keeps a stream, or on when it executed a command; the digest has the entries.
_UNCOMPARED = re.compile(
    rb"radix-tree-.*|entries|seen-time|active-time|iids-duplicates"
    # only we have policies
    rb"|max-len|max-age-ms|max-bytes|bytes|retain|discard|channels|discarded|refused|captured|delayed|next-due-ms"
)
_NEWER = re.compile(rb"nacked-count|lag|idmp-.*|[ip]ids-.*")


@dataclass(frozen=True)
class Recorded:
    """What a case appended to the file, preparation included; the command's own effects; and the keyspace it left."""

    case: Case
    appended: bytes
    effects: list[list[bytes]]
    keyspace: Keyspace


class Recorder:
    """A broker with an append-only file, and what executing cases adds to it."""

    def __init__(self, other: servers.Server, **directives: str) -> None:
        port = servers.free_port()
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "no",
            "auto-aof-rewrite-percentage": "0",
            "enable-debug-command": "yes",
            "stream-extensions": "yes",
            **directives,
        }
        command = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.server = servers.start("source", [sys.executable, "-m", "broker", "serve", *command], port)
        assert self.server.folder is not None
        self.folder = self.server.folder / "appendonlydir"
        self._file: BufferedReader | None = None
        self.follow()
        self._client = self.server.connect()
        self._meanwhile = self.server.connect()
        self._others_port = b"%d" % other.address[1]

    def follow(self) -> None:
        """Read what is appended from now on; also after a rewrite, which begins another file."""
        manifest = parse_manifest((self.folder / "appendonly.aof.manifest").read_bytes())
        if self._file is not None:
            self._file.close()
        self._file = (self.folder / manifest.increments[-1].name).open("rb")

    def configure(self, directive: str, value: str) -> None:
        assert self._client.call("CONFIG", "SET", directive, value) == b"+OK\r\n"

    def stop(self) -> None:
        assert self._file is not None
        self._file.close()
        self._client.close()
        self._meanwhile.close()
        self.server.stop()

    def keyspace(self) -> Keyspace:
        return keyspace_of(self._client)

    def record(self, case: Case) -> Recorded:
        """Execute a case on an empty keyspace."""
        self._appended()
        prepared, own = self.execute(case)
        return Recorded(case, prepared + own, commands_of(own), keyspace_of(self._client))

    def execute(self, case: Case) -> tuple[bytes, bytes]:
        """Execute a case on an empty keyspace; returns what its preparation and the command have appended."""
        lines = ("SELECT 0", "FLUSHALL", "FUNCTION FLUSH", *case.setup)
        self._client.send(b"".join(encode(words(line)) for line in lines))
        for line in lines:
            reply = self._client.receive()
            assert not reply.startswith(b"-"), (line, reply)
        prepared = self._appended()
        request = encode(self._filled(case.command))
        if case.then:
            self._client.send(request)
            self._until_blocked()
            for line in case.then:
                reply = self._meanwhile.call(*words(line))
                assert not reply.startswith(b"-"), (line, reply)
            self._client.receive()
        else:
            self._client.send(request)
            reply = self._client.receive()
            assert case.silent or not reply.startswith(b"-"), (str(case), reply)
        return prepared, self._appended()

    def _filled(self, line: Line) -> list[bytes]:
        """The words of a line, with what stands in braces replaced."""
        return [self._answer(word[1:-1]) if re.fullmatch(rb"\{[A-Z ]+.*\}", word) else word for word in words(line)]

    def _answer(self, question: bytes) -> bytes:
        if question == b"PORT":
            return self._others_port
        if question.startswith(b"NEWER "):
            return of_version(12, self._answer(question[6:]))
        return parse(self._client.call(*question.split())).text

    def _until_blocked(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while b"blocked_clients:1\r" not in self._meanwhile.call("INFO", "clients"):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def _appended(self) -> bytes:
        """What was written since the last call: all effects of what has been answered."""
        assert self._file is not None
        return self._file.read()


def of_version(version: int, payload: bytes) -> bytes:
    """The payload of DUMP or FUNCTION DUMP as a server writes it that has no older version."""
    payload = payload[:-10] + version.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def commands_of(appended: bytes) -> list[list[bytes]]:
    """The commands of a part of a file, without annotations, SELECT, MULTI and EXEC."""
    found = [[item.text for item in parse(frame).items] for frame in _frames(appended)]
    return [command for command in found if command[0] not in (b"SELECT", b"MULTI", b"EXEC")]


def _frames(data: bytes) -> list[bytes]:
    frames = []
    at = 0
    while at < len(data):
        if data[at] == ord("#"):
            at = data.index(b"\n", at) + 1
            continue
        end = frame_end(data, at)
        frames.append(data[at:end])
        at = end
    return frames


def replay(appended: bytes, connection: Connection) -> list[bytes]:
    """Send a part of a file to an empty server; returns the errors it answers."""
    frames = [encode("FLUSHALL"), encode("FUNCTION FLUSH"), encode("SELECT 0"), *_frames(appended)]
    connection.send(b"".join(frames))
    return [error for _ in frames for error in _errors(parse(connection.receive()))]


def _errors(reply: Node) -> list[bytes]:
    own = [reply.text] if reply.kind in ("-", "!", "!?") else []
    return own + [error for item in reply.items for error in _errors(item)]


# The keyspace


def _ask(connection: Connection, questions: Sequence[Sequence[str | bytes | int]]) -> list[Plain]:
    connection.send(b"".join(map(encode, questions)))
    return [_plain(parse(connection.receive())) for _ in questions]


def _plain(node: Node) -> Plain:
    return [_plain(item) for item in node.items] if node.kind in "*~%" and not node.text else node.text


def keyspace_of(connection: Connection) -> Keyspace:
    """Every key with its type, its deadline and its digest, or its fields or consumer groups."""
    found: Keyspace = {}
    questions = [line for number in range(DATABASES) for line in (("SELECT", number), ("KEYS", "*"))]
    *databases, libraries, _ = _ask(connection, [*questions, ("FUNCTION", "LIST", "WITHCODE"), ("SELECT", 0)])
    for number, keys in enumerate(databases[1::2]):
        if keys:
            if number:
                _ask(connection, [("SELECT", number)])
            for key in keys:
                assert isinstance(key, bytes)
                found[number, key] = _facts(connection, key)
    _ask(connection, [("SELECT", 0)])
    assert isinstance(libraries, list)
    found[-1, b""] = sorted((_named(library, b"library_code") for library in libraries), key=repr)
    return found


def with_owners(keyspace: Keyspace) -> Keyspace:
    """Takes together what `replication-compat 7.0` says in other words: who owns released entries, and max-deleted."""
    return {key: _with_owners(facts) for key, facts in keyspace.items()}


def _with_owners(node: Plain) -> Plain:
    if not isinstance(node, list):
        return node
    if len(node) == 4 and node[1] == RELEASED:
        return [node[0], b"", *node[2:]]
    kept = [_with_owners(item) for item in node if not (isinstance(item, list) and item[:2] == [b"name", RELEASED])]
    if b"max-deleted-entry-id" in kept and _named(kept, b"max-deleted-entry-id") == b"0-1":
        kept[kept.index(b"max-deleted-entry-id") + 1] = b"0-0"
    return kept


def _facts(connection: Connection, key: bytes) -> Plain:
    facts = _ask(connection, [("TYPE", key), ("PEXPIRETIME", key), ("DEBUG", "DIGEST-VALUE", key)])
    if facts[0] == b"hash":
        [fields] = _ask(connection, [("HGETALL", key)])
        assert isinstance(fields, list)
        [deadlines] = _ask(connection, [("HPEXPIRETIME", key, "FIELDS", len(fields[::2]), *map(bytes, fields[::2]))])
        if deadlines not in ([b"-1"] * len(fields[::2]),) and not isinstance(deadlines, bytes):
            # Valkey has a formula of its own for the digest of a hash with deadlines.
            return [*facts[:2], sorted(map(list, zip(fields[::2], fields[1::2], deadlines, strict=True)), key=repr)]
    elif facts[0] == b"zset":
        # 7.0 has a formula of its own for scores.
        [members] = _ask(connection, [("ZRANGE", key, 0, -1, "WITHSCORES")])
        assert isinstance(members, list)
        return [*facts[:2], [_score(word) if at % 2 else word for at, word in enumerate(members)]]
    elif facts[0] == b"stream":
        [stream] = _ask(connection, [("XINFO", "STREAM", key, "FULL", "COUNT", 0)])
        return [*facts, _without(_UNCOMPARED, stream)]
    return facts


def as_of_7_0(keyspace: Keyspace) -> Keyspace:
    """What older servers show: no idempotent producers, no entries without an owner, and another estimate of lag."""
    return {key: _without(_NEWER, facts) for key, facts in keyspace.items()}


def _score(text: Plain) -> bytes:
    assert isinstance(text, bytes)
    return float(text).hex().encode()


def _named(flat: Plain, name: bytes) -> Plain:
    assert isinstance(flat, list)
    return flat[flat.index(name) + 1]


def _without(names: "re.Pattern[bytes]", node: Plain) -> Plain:
    """A value without the facts of these names, at any depth."""
    if not isinstance(node, list):
        return node
    kept: list[Plain] = []
    at = 0
    while at < len(node):
        item = node[at]
        if isinstance(item, bytes) and names.fullmatch(item):
            at += 2
        else:
            kept.append(_without(names, item))
            at += 1
    return kept
