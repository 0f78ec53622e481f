"""Lists at their ends, and what the list commands leave for the journal."""

import random

import pytest

from broker.values.list import List
from tests.broker.direct import Client, bulk, bulks
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker


@pytest.fixture
def client() -> Client:
    return Client(make_broker())


def test_pushes_and_pops(client: Client) -> None:
    assert client.do("LPUSH k a b") == b":2\r\n"
    assert client.do("RPUSH k c") == b":3\r\n"
    assert client.do("LLEN k") == b":3\r\n"
    assert client.do("LPOP k") == bulk("b")
    assert client.do("RPOP k 5") == bulks("c", "a")
    assert client.session.db.data == {}


def test_missing_lists(client: Client) -> None:
    assert client.do("LPOP k") == client.do("RPOP k") == b"$-1\r\n"
    assert client.do("LPOP k 0") == client.do("RPOP k 1") == b"*-1\r\n"
    assert client.do("LPUSHX k x") == client.do("RPUSHX k x") == client.do("LLEN k") == b":0\r\n"
    assert client.session.db.data == {}


@pytest.mark.parametrize("command", ["LPUSH s x", "RPUSHX s x y", "LPOP s", "RPOP s 1", "LLEN s"])
def test_another_type_is_refused_and_kept(client: Client, command: str) -> None:
    client.do("SET s x")
    assert client.do(command).startswith(b"-WRONGTYPE ")
    assert client.session.db.data == {b"s": b"x"}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("LPOP k -1", b"-ERR value is out of range, must be positive\r\n"),
        ("RPOP k x", b"-ERR value is out of range, must be positive\r\n"),
        ("LPOP k 1 2", b"-ERR wrong number of arguments for 'lpop' command\r\n"),
        ("RPOP k 1 2", b"-ERR wrong number of arguments for 'rpop' command\r\n"),
    ],
)
def test_a_refused_pop_takes_nothing(client: Client, command: str, error: bytes) -> None:
    client.do("RPUSH k a")
    assert client.do(command) == error
    assert client.session.db.data == {b"k": List([b"a"])}


def test_every_element_counts_as_a_change(client: Client) -> None:
    keyspace = client.broker.keyspace
    for command, changes in [
        ("RPUSH k a b c d e f", 6), ("LPUSH k x", 1), ("LPOP k", 1), ("RPOP k 2", 2), ("LTRIM k 0 -1", 0),
        ("LREM k 0 a", 1), ("LREM k 0 a", 0), ("LMOVE k d LEFT LEFT", 1), ("LMPOP 1 k LEFT COUNT 9", 2),
        ("LMOVEM d k LEFT LEFT COUNT 2 OBO", 1), ("LMOVE k k LEFT RIGHT", 1), ("SORT k ALPHA STORE m", 1),
    ]:  # fmt: skip
        before = keyspace.changes
        client.do(command)
        assert keyspace.changes - before == changes, command


@pytest.mark.parametrize(
    "command",
    ["LPUSH k x", "LPOP k", "RPOP k 3", "LSET k 0 x", "LTRIM k 0 -1", "LREM k 1 a", "LINSERT k BEFORE a x",
     "LMOVE k d LEFT LEFT", "LMOVE d k LEFT LEFT", "LMOVEM k d LEFT LEFT COUNT 9 OBO", "LMPOP 1 k LEFT", "BLPOP k 0",
     "SORT d STORE k", "SORT no STORE k"],
)  # fmt: skip
def test_a_change_breaks_watches(client: Client, command: str) -> None:
    client.do("RPUSH k a b c")
    client.do("RPUSH d 1")
    watcher = Client(client.broker)
    watcher.do("WATCH k")
    client.do(command)
    watcher.do("MULTI")
    assert watcher.do("EXEC") == b"*-1\r\n"


# Effects


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("LPUSH k x y", ["LPUSH k x y"]),
        ("LPOP k 2", ["LPOP k 2"]),
        ("LPOP no", []),
        ("LTRIM k 0 -1", []),
        ("LREM k 0 no", []),
        ("LMPOP 2 no k LEFT COUNT 9", ["LPOP k 3"]),
        ("LMPOP 1 k RIGHT", ["RPOP k 1"]),
        ("LMPOP 1 no RIGHT", []),
        ("BLMPOP 0 2 no k RIGHT COUNT 2", ["RPOP k 2"]),
        ("BLPOP no k 0", ["LPOP k"]),
        ("BRPOP k no 0", ["RPOP k"]),
        ("LMOVE k d left RIGHT", ["LMOVE k d left RIGHT"]),
        ("BLMOVE k d left RIGHT 0", ["LMOVE k d left RIGHT"]),
        ("RPOPLPUSH k d", ["RPOPLPUSH k d"]),
        ("BRPOPLPUSH k d 0", ["RPOPLPUSH k d"]),
        ("LMOVEM k d LEFT LEFT COUNT 9 OBO", ["LMOVE k d LEFT LEFT"] * 3),
        ("LMOVEM k d LEFT RIGHT COUNT 2 BULK", ["LMOVE k d LEFT RIGHT"] * 2),
        ("LMOVEM k k RIGHT RIGHT COUNT 2 BULK", []),
        ("LMOVEM k k RIGHT RIGHT COUNT 2 OBO", ["LSET k -2 c", "LSET k -1 b"]),
        ("BLMOVEM k d LEFT LEFT 0", ["LPOP k 1", "LPUSH d a"]),
        ("BLMOVEM k d LEFT LEFT 0 COUNT 9 OBO", ["LMOVE k d LEFT LEFT"] * 3),
        ("BLMOVEM k d LEFT LEFT 0 EXACTLY 2 BULK", ["LPOP k 2", "LPUSH d b a"]),
        ("SORT k ALPHA", []),
        ("SORT k ALPHA STORE d", ["SORT k ALPHA STORE d"]),
        ("SORT no STORE d", []),
    ],
)
def test_effects(client: Client, command: str, effects: list[str]) -> None:
    client.do("RPUSH k a b c")
    seen = journal(client.broker)
    client.do(command)
    assert lines(seen) == effects


def test_effects_of_a_served_client_follow_those_that_served_it() -> None:
    broker = make_broker()
    waiting, writer = Client(broker), Client(broker)
    seen = journal(broker)
    waiting.do("BLMOVE k d LEFT RIGHT 0")
    writer.do("RPUSH k a b")
    assert lines(seen) == ["RPUSH k a b", "LMOVE k d LEFT RIGHT"]


KEYS = ("k", "l", "m")
ENDS = ("LEFT", "RIGHT")


def any_command(rng: random.Random) -> str:
    key, other, end, far, n = rng.choice(KEYS), rng.choice(KEYS), rng.choice(ENDS), rng.choice(ENDS), rng.randint(1, 3)
    return rng.choice(
        [
            f"RPUSH {key} a b c", f"LPUSH {key} d e", f"RPUSHX {key} f", f"LPOP {key} {n}", f"RPOP {key}",
            f"LSET {key} 0 z", f"LTRIM {key} 0 {n}", f"LREM {key} {n} a", f"LINSERT {key} AFTER b q",
            f"LMOVE {key} {other} {end} {far}", f"LMOVEM {key} {other} {end} {far} COUNT {n} OBO",
            f"LMPOP 2 {key} {other} {end} COUNT {n}", f"SORT {key} ALPHA STORE {other}", f"BLPOP {key} {other} 0",
            f"BRPOP {key} 0", f"BLMOVE {key} {other} {end} {far} 0", f"BRPOPLPUSH {key} {other} 0",
            f"BLMPOP 0 1 {key} {end} COUNT {n}", f"BLMOVEM {key} {other} {end} {far} 0 EXACTLY {n} BULK",
        ]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_replayed_effects_give_the_same_lists(seed: int) -> None:
    rng = random.Random(seed)
    broker = make_broker()
    effects = journal(broker)
    clients = [Client(broker) for _ in range(6)]
    served = 0
    for _ in range(400):
        free = [client for client in clients if not client.waits]
        if len(free) == 1:
            served += sum(client.waits for client in clients)
            free[0].do(f"RPUSH {rng.choice(KEYS)} x y z")
            served -= sum(client.waits for client in clients)
        else:
            rng.choice(free).do(any_command(rng))
    replica = Client(make_broker())
    for database, words in effects:
        assert database == 0
        assert replica.do(words)[:1] not in (b"-", b"")
    assert served > 0
    assert replica.session.db.data == clients[0].session.db.data
    assert all(value.__class__ is List and value for value in replica.session.db.data.values())
