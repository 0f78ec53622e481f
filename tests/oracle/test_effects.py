"""Effects replayed on servers of all ages: a second broker, redis-server of today and 7.0, and Valkey.

Every command of the table that may write has cases (effects/), and every option of its grammar occurs in one. What they
append to the append-only file must leave the same keyspace everywhere, unless it is one of the few things that older
servers have no word for. The file itself must be one that 7.0 and Valkey start with.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import broker.commands  # noqa: F401  (declares all commands)
from broker.formats.rdb.format import STREAM_LISTPACKS_4, STREAM_LISTPACKS_5
from broker.table.command import DECLARED, MAY_REPLICATE, WRITE
from broker.table.syntax import EMPTY_TOKEN, Argument, arguments_of
from tests.oracle import servers
from tests.oracle.background import rewrite
from tests.oracle.conftest import skip_loudly
from tests.oracle.effects.cases import Case, Cases, after
from tests.oracle.effects.collections import COLLECTIONS
from tests.oracle.effects.keys import EVERY_TYPE, KEYS, LIBRARY
from tests.oracle.effects.recording import (
    Keyspace,
    Recorded,
    Recorder,
    as_of_7_0,
    commands_of,
    keyspace_of,
    replay,
    with_owners,
)
from tests.oracle.effects.streams import STREAMS
from tests.oracle.effects.strings import STRINGS
from tests.oracle.servers import Server
from tests.oracle.wire import Connection

CASES: Cases = {**STRINGS, **COLLECTIONS, **KEYS, **STREAMS}
WRITING = sorted(declared.name.decode() for declared in DECLARED.values() if declared.flags & (WRITE | MAY_REPLICATE))

NO_EFFECT = {
    "trimslots": "refused without a cluster",
}
"""Commands that may write but never append anything."""

UNUSED = {("migrate", "AUTH"): "the other server has no password", ("georadius", "ANY"): "needs COUNT"}
"""Options that occur in no case."""

STREAM_NEWS = {
    b"XNACK": "pending entries without an owner: Redis 8.8",
    b"XIDMPRECORD": "idempotent producers: Redis 8.6",
    b"XCFGSET": "idempotent producers: Redis 8.6",
    b"ACKED": "a trim that passed over entries of a stream from which none had been deleted: Redis 8.2",
    b"RESTORE": "of a stream with an entry without an owner, or with idempotent producers",
}
FIELD_NEWS = {
    b"HPEXPIREAT": "deadlines of fields: Redis 7.4, Valkey 9.0",
    b"HPERSIST": "deadlines of fields: Redis 7.4, Valkey 9.0",
}
NEWS: Mapping[str, Mapping[bytes, str]] = {
    "ours": {},
    "reference": {},
    "7.0": {**STREAM_NEWS, **FIELD_NEWS},
    "valkey": STREAM_NEWS,
}
"""What has no exact word in a server's language, and so is said in that of a newer one."""

NEW_STREAMS = (STREAM_LISTPACKS_4, STREAM_LISTPACKS_5)
"""The types of payloads that are news."""

ONLY_NEWS = {
    "7.0": {"hpersist", "xidmprecord"},
    "valkey": {"xidmprecord"},
}
"""Commands that can't do anything that a server has a word for."""


def test_every_command_that_may_write_has_cases() -> None:
    assert sorted(CASES) == WRITING
    for name, cases in CASES.items():
        assert (name in NO_EFFECT) == all(case.silent for case in cases), name


@pytest.mark.parametrize("name", WRITING)
def test_every_option_occurs_in_a_case(name: str) -> None:
    words = {word.upper() for case in CASES[name] for word in case.words()}
    for token in _tokens(arguments_of(DECLARED[name.encode()].syntax)):
        assert token in words or (name, token.decode()) in UNUSED, token


def _tokens(arguments: tuple[Argument, ...]) -> Iterator[bytes]:
    for argument in arguments:
        if argument.token:
            yield b"" if argument.token == EMPTY_TOKEN else argument.token.upper().encode()
        yield from _tokens(argument.arguments)


# Servers


def _start(name: str, prepare: Callable[[Path], object] | None = None, *options: str) -> Server:
    try:
        path = servers.find_7_0() if name == "7.0" else servers.find_valkey()[0]
    except servers.OracleMissing as missing:
        skip_loudly(str(missing))
    port = servers.free_port()
    command = [str(path), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    return servers.start(name, [*command, "--enable-debug-command", "yes", *options], port, prepare)


@pytest.fixture(scope="module")
def recordings() -> Iterator[Callable[[Case], Recorded]]:
    """Returns what a case does; each is executed once."""
    recorder = Recorder(servers.reference())
    done: dict[int, Recorded] = {}

    def recorded(case: Case) -> Recorded:
        if id(case) not in done:
            done[id(case)] = recorder.record(case)
        return done[id(case)]

    yield recorded
    recorder.stop()


Target = tuple[str, Connection]


@pytest.fixture(scope="module", params=["ours", "reference", "7.0", "valkey"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    name: str = request.param
    started = None
    if name == "ours":
        server = servers.broker()
    elif name == "reference":
        if servers.version() < (8, 10):
            pytest.skip("the reference is too old")
        server = servers.reference()
    else:
        server = started = _start(name)
    connection = server.connect()
    yield name, connection
    connection.call("FLUSHALL")
    connection.call("FUNCTION", "FLUSH")
    connection.close()
    if started is not None:
        started.stop()


def news_in(appended: bytes, name: str) -> set[bytes]:
    """What a part of a file says that this server has no word for."""
    found = set()
    for command in commands_of(appended):
        words = {command[0]} | ({b"ACKED"} & set(command[1:]))
        if command[0] == b"RESTORE" and command[3][0] not in NEW_STREAMS:
            words.clear()
        found |= words & NEWS[name].keys()
    return found


def seen_by(name: str, keyspace: Keyspace) -> Keyspace:
    return as_of_7_0(keyspace) if NEWS[name] else keyspace


# Replaying


@pytest.mark.parametrize("name", WRITING)
def test_effects(name: str, target: Target, recordings: Callable[[Case], Recorded]) -> None:
    server, connection = target
    said = False
    for case in CASES[name]:
        recorded = recordings(case)
        assert bool(recorded.effects) != case.silent, str(case)
        errors = replay(recorded.appended, connection)
        if news_in(recorded.appended, server):
            assert errors, f"{case} has become an old word"
            continue
        said |= not case.silent
        assert not errors, (str(case), recorded.effects)
        found = seen_by(server, keyspace_of(connection))
        assert found == seen_by(server, recorded.keyspace), (str(case), recorded.effects)
    assert said == (name not in NO_EFFECT and name not in ONLY_NEWS.get(server, ()))


@pytest.fixture(scope="module")
def in_old_words() -> Iterator[Recorder]:
    recorder = Recorder(servers.reference(), **{"replication-compat": "7.0"})
    yield recorder
    recorder.stop()


def test_effects_for_older_servers(
    target: Target, recordings: Callable[[Case], Recorded], in_old_words: Recorder
) -> None:
    """With `replication-compat 7.0`, all news but the deadlines of fields are left out or put in other words."""
    server, connection = target
    for cases in CASES.values():
        for case in cases:
            if not news_in(recordings(case).appended, "7.0"):
                continue
            recorded = in_old_words.record(case)
            news = news_in(recorded.appended, server)
            assert not news & STREAM_NEWS.keys(), str(case)
            errors = replay(recorded.appended, connection)
            assert bool(errors) == bool(news), (str(case), recorded.effects)
            if not news:
                found = with_owners(as_of_7_0(keyspace_of(connection)))
                assert found == with_owners(as_of_7_0(recorded.keyspace)), (str(case), recorded.effects)


# Files


RICH = after([*EVERY_TYPE.split("; "), ["FUNCTION", "LOAD", LIBRARY]], "XTRIM x MAXLEN 0")[0]
"""Leaves a key of every type."""

NEW = after(
    f"{EVERY_TYPE}; XADD x IDMP p i * a 1; XADD x * a 1; XREADGROUP GROUP g c COUNT 1 STREAMS x >",
    "XNACK x g FAIL IDS 1 1-1",
)[0]
"""Leaves a stream with everything that Redis 8 has added."""

EXPIRING = Case(NEW.setup, "HSETEX h EX 1000 FIELDS 2 a 1 b 2")

Folder = tuple[Path, Keyspace]


@pytest.fixture(scope="module")
def folders(
    recordings: Callable[[Case], Recorded], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Folder]]:
    """Append-only folders of one broker, by whether `replication-compat` was set and who must be able to load them."""
    recorder = Recorder(servers.reference())
    copies: dict[str, Folder] = {}
    every = [case for cases in CASES.values() for case in cases]
    news = {id(case): {name: news_in(recordings(case).appended, name) for name in NEWS} for case in every}

    def begin(case: Case) -> None:
        """Begin a file whose base has what the case leaves."""
        recorder.execute(case)
        connection = recorder.server.connect()
        rewrite(connection)
        connection.close()

    def execute(name: str, wanted: Callable[[Mapping[str, set[bytes]]], bool], last: Case) -> None:
        for case in every:
            if wanted(news[id(case)]):
                recorder.execute(case)
        recorder.execute(last)
        copy = tmp_path_factory.mktemp("copies") / name.replace(" ", "-")
        shutil.copytree(recorder.folder, copy)
        copies[name] = copy, recorder.keyspace()

    begin(RICH)
    recorder.follow()
    execute("7.0", lambda found: not found["7.0"], RICH)
    execute("valkey", lambda found: bool(found["7.0"]) and not found["valkey"], RICH)
    recorder.configure("replication-compat", "7.0")
    begin(NEW)
    recorder.follow()
    execute("compatible 7.0", lambda found: bool(found["7.0"]) and not found["7.0"] & FIELD_NEWS.keys(), NEW)
    recorder.configure("aof-use-rdb-preamble", "no")
    begin(NEW)
    recorder.follow()
    execute("compatible commands", lambda found: False, NEW)
    begin(EXPIRING)
    recorder.follow()
    execute("compatible valkey", lambda found: False, EXPIRING)
    yield copies
    recorder.stop()


@pytest.mark.parametrize("kind", ["7.0", "valkey", "compatible 7.0", "compatible valkey", "compatible commands"])
def test_starts_with_the_file(kind: str, folders: dict[str, Folder]) -> None:
    folder, expected = folders[kind]
    name = "valkey" if "valkey" in kind else "7.0"
    server = _start(name, lambda place: shutil.copytree(folder, place / "appendonlydir"), "--appendonly", "yes")
    connection = server.connect()
    try:
        assert with_owners(as_of_7_0(keyspace_of(connection))) == with_owners(as_of_7_0(expected))
    finally:
        connection.close()
        server.stop()
