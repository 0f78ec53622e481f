"""The command table: declarations, lookups, key positions, categories."""

import pytest

import broker.commands  # noqa: F401  (declares all commands)
from broker.clients.session import Session
from broker.table.command import (
    ADMIN,
    BLOCKING,
    DECLARED,
    FAST,
    FLAG_NAMES,
    IN_SUBSCRIBED_MODE,
    NEVER_QUEUED,
    NO_LIMIT,
    PUBSUB,
    READONLY,
    RO,
    WRITE,
    CommandTable,
    KeySpec,
    command,
    counted_keys,
    key,
    keys,
    keys_behind,
)


@pytest.fixture
def table() -> CommandTable:
    return CommandTable()


@pytest.mark.parametrize(
    "spec, args, positions",
    [
        (key(RO), b"GET k", [1]),
        (key(RO), b"GET", []),
        (key(RO, at=2), b"OBJECT ENCODING k", [2]),
        (keys(RO), b"DEL a b c", [1, 2, 3]),
        (keys(RO, last=-2), b"BLPOP a b 0", [1, 2]),
        (keys(RO, last=2), b"RENAME a b", [1, 2]),
        (keys(RO, step=2), b"MSET a 1 b 2", [1, 3]),
        (counted_keys(RO, at=1), b"LMPOP 2 a b LEFT", [2, 3]),
        (counted_keys(RO, at=2), b"EVAL script 0", []),
        (counted_keys(RO, at=1), b"LMPOP x a b", []),
        (counted_keys(RO, at=1), b"LMPOP 3 a b", []),
        (counted_keys(RO, at=1), b"LMPOP -1 a b", []),
        (counted_keys(RO, at=1), b"LMPOP 9223372036854775808 a b", []),
        (counted_keys(RO, at=1), b"LMPOP 9223372036854775807 a b", []),
        (counted_keys(RO, at=1, step=2), b"MSETEX 2 a 1 b 2 NX", [2, 4]),
        (keys_behind(b"STREAMS", RO, limit=2), b"XREAD COUNT 1 STREAMS a b 0 0", [4, 5]),
        (keys_behind(b"STREAMS", RO, limit=2), b"XREAD COUNT 1 streams a 0", [4]),
        (keys_behind(b"STREAMS", RO, limit=2), b"XREAD COUNT 1", []),
        (keys_behind(b"STORE", RO, last=0, start=4), b"GEORADIUS k 1 2 STORE d", [5]),
    ],
)
def test_where_keys_stand(spec: KeySpec, args: bytes, positions: list[int]) -> None:
    assert spec.positions(args.split()) == positions


def test_names_in_any_case(table: CommandTable) -> None:
    for name in (b"get", b"GET", b"gEt"):
        found = table.find([name, b"k"])
        assert found is not None and found.name == b"get"
    assert table.find([b"nope"]) is None
    assert table.plain[b"GET"] is table.plain[b"get"]
    assert b"gEt" not in table.plain


def test_subcommands(table: CommandTable) -> None:
    found = table.find([b"PubSub", b"NumPat"])
    assert found is not None and found.name == b"pubsub|numpat"
    assert table.find([b"PUBSUB", b"nope"]) is None
    outer = table.find([b"PUBSUB"])
    assert outer is not None and outer.min_args == 2
    assert b"pubsub" not in table.plain
    assert table.find([b"pubsub|numpat"]) is None


def test_renamed_commands() -> None:
    table = CommandTable([(b"FLUSHALL", b""), (b"Get", b"Fetch"), (b"PUBSUB", b"who")])
    assert table.find([b"FLUSHALL"]) is None and b"FLUSHALL" not in table.plain
    assert table.find([b"GET", b"k"]) is None
    found = table.find([b"FETCH", b"k"])
    assert found is not None and found.name == b"get" and table.plain[b"FETCH"] is found
    inner = table.find([b"who", b"numpat"])
    assert inner is not None and inner.name == b"pubsub|numpat"


@pytest.mark.parametrize("old, new", [(b"nope", b"x"), (b"GET", b"Set")])
def test_impossible_renamings(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match="rename-command"):
        CommandTable([(old, new)])


def test_each_broker_counts_by_itself(table: CommandTable) -> None:
    table.by_name[b"get"].calls += 1
    table.by_name[b"pubsub"].subcommands[b"numpat"].calls += 1
    other = CommandTable()
    assert other.by_name[b"get"].calls == other.by_name[b"pubsub"].subcommands[b"numpat"].calls == 0


def test_a_name_is_declared_once() -> None:
    def handler(session: Session, args: list[bytes]) -> bytes:
        return b""

    with pytest.raises(ValueError, match="declared twice"):
        command("GET", arity=2, flags=0, group="string", since="1.0.0", summary="", complexity="")(handler)


def test_the_whole_table_is_sound(table: CommandTable) -> None:
    for found in table:
        assert found.arity != 0 and found.min_args <= found.max_args, found.name
        assert found.max_args == (found.arity if found.arity > 0 else NO_LIMIT), found.name
        assert found.name == found.name.lower(), found.name
        assert found.summary.endswith(".") and found.since.count(".") == 2, found.name
        assert ("fast" in found.categories) != ("slow" in found.categories), found.name
        assert ("fast" in found.categories) == bool(found.flags & FAST), found.name
        assert ("write" in found.categories) == bool(found.flags & WRITE), found.name
        assert not (found.flags & WRITE and found.flags & READONLY), found.name
        if found.flags & BLOCKING:
            assert "blocking" in found.categories, found.name
        if found.flags & ADMIN:
            assert {"admin", "dangerous"} <= set(found.categories), found.name
        if found.flags & PUBSUB:
            assert "pubsub" in found.categories, found.name


def test_subcommands_have_containers() -> None:
    for name in DECLARED:
        outer, bar, _ = name.partition(b"|")
        assert not bar or outer in DECLARED, name


def test_what_subscribers_may_send(table: CommandTable) -> None:
    allowed = {found.name for found in table if found.flags & IN_SUBSCRIBED_MODE}
    assert allowed == {
        b"subscribe", b"unsubscribe", b"psubscribe", b"punsubscribe", b"ssubscribe", b"sunsubscribe", b"ping", b"quit",
        b"reset",
    }  # fmt: skip


def test_what_is_never_queued(table: CommandTable) -> None:
    never = {found.name for found in table if found.flags & NEVER_QUEUED}
    assert never == {b"multi", b"exec", b"discard", b"watch", b"quit", b"reset"}


def test_hidden_flags_have_no_names() -> None:
    assert IN_SUBSCRIBED_MODE not in FLAG_NAMES and NEVER_QUEUED not in FLAG_NAMES
