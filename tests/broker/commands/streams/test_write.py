"""What adding to and removing from streams propagates, and the events it sends."""

import pytest

from broker.broker import Broker
from broker.values.streams.stream import Stream
from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Client:
    return Client(broker)


def added(client: Client, command: str) -> str:
    """Execute an XADD; the ID it made."""
    return client.do(command).split(b"\r\n")[1].decode()


def test_ids_from_the_clock_propagate_as_they_are(broker: Broker, client: Client) -> None:
    seen = journal(broker)
    first = added(client, "XADD s * a b")
    second = added(client, "XADD s NOMKSTREAM * a b")
    client.do("XADD s 9999999999999-* a b")
    client.do("XADD s 9999999999999-7 a b")
    assert lines(seen) == [
        f"XADD s {first} a b",
        f"XADD s NOMKSTREAM {second} a b",
        "XADD s 9999999999999-0 a b",
        "XADD s 9999999999999-7 a b",
    ]


def test_ids_never_go_back(broker: Broker, client: Client) -> None:
    ids = []
    for now in (1000, 1000, 999, 1001):
        broker.clock.now = now
        ids.append(added(client, "XADD s * a b"))
    assert ids == ["1000-0", "1000-1", "1000-2", "1001-0"]
    client.do("XSETID s 18446744073709551615-18446744073709551614")
    assert added(client, "XADD s * a b") == "18446744073709551615-18446744073709551615"
    assert client.do("XADD s * a b").startswith(b"-ERR The stream has exhausted the last possible ID")


def test_approximate_trims_propagate_as_exact_ones(broker: Broker, client: Client) -> None:
    for n in range(1, 251):
        client.do(f"XADD s {n} f v")
    seen = journal(broker)
    client.do("XADD s MAXLEN = 249 300 f v")
    client.do("XADD s MAXLEN ~ 100 301 f v")
    client.do("XADD s MAXLEN ~ 100 302 f v")
    client.do("XTRIM s MINID ~ 240 LIMIT 100 ACKED")
    client.do("XTRIM s MAXLEN ~ 90")
    assert lines(seen) == [
        "XADD s MAXLEN = 249 300-0 f v",
        "XADD s 301-0 f v",
        "XTRIM s MAXLEN = 152",
        "XADD s 302-0 f v",
        "XTRIM s MAXLEN = 53",
    ]


def test_the_limit_of_an_approximate_trim_follows_the_size_of_nodes(broker: Broker, client: Client) -> None:
    broker.config.set([(b"stream-node-max-entries", b"1")])
    for n in range(1, 301):
        client.do(f"XADD s {n} f v")
    assert client.do("XTRIM s MAXLEN ~ 0") == b":100\r\n"
    assert client.do("XTRIM s MAXLEN ~ 0 LIMIT 0") == b":200\r\n"


def test_producers_propagate_as_records(broker: Broker, client: Client) -> None:
    seen = journal(broker)
    first = added(client, "XADD s IDMP p i MAXLEN 5 * a b")
    assert added(client, "XADD s IDMP p i MAXLEN 5 * a b") == first
    assert lines(seen) == [f"XADD s {first} a b", f"XIDMPRECORD s p i {first}"]
    assert broker.keyspace.changes == 2


def test_iids_are_forgotten_in_time(broker: Broker, client: Client) -> None:
    client.do("XADD s IDMP p i * a b")
    stream = client.session.db.data[b"s"]
    assert isinstance(stream, Stream)
    stream.idempotency.record(b"q", b"old", 5 << 64)
    assert b"pids-tracked\r\n:1\r\n" in client.do("XINFO STREAM s")


def test_events(broker: Broker, client: Client) -> None:
    broker.config.set([(b"notify-keyspace-events", b"Et")])
    listener = Client(broker)
    listener.do("PSUBSCRIBE *")
    client.do("XADD s MAXLEN 1 1 a b")
    client.do("XADD s MAXLEN 1 2 a b")
    client.do("XTRIM s MAXLEN 0")
    client.do("XTRIM s MAXLEN 0")
    client.do("XADD s 3 a b")
    client.do("XDEL s 3 4")
    client.do("XSETID s 9")
    names = [part.split(b":")[1].split(b"\r\n")[0] for part in listener.take().split(b"__keyevent@0__")[1:]]
    assert names == [b"xadd", b"xadd", b"xtrim", b"xtrim", b"xadd", b"xdel", b"xsetid"]


def test_an_entry_may_not_be_larger_than_redis_takes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.values.streams.stream.MAX_ENTRY", 100)
    assert client.do(f"XADD s 1 a {200 * 'b'}") == b"-ERR Elements are too large to be stored\r\n"


def test_references_to_deleted_entries_propagate(broker: Broker, client: Client) -> None:
    for command in (
        "XADD s 1 f v",
        "XADD s 2 f v",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g c STREAMS s >",
        "XDEL s 1",
    ):
        client.do(command)
    seen = journal(broker)
    assert client.do("XDELEX s DELREF IDS 1 1") == b"*1\r\n:-1\r\n"
    client.do("XDELEX s DELREF IDS 1 1")
    assert lines(seen) == ["XACK s g 1-0"]


def test_repeated_options_are_parsed_once_and_mean_the_same(client: Client) -> None:
    for n in range(1, 4):
        client.do("XADD s MAXLEN = 2 * f v")
        assert client.do("XLEN s") == b":%d\r\n" % min(n, 2)
    assert client.do("XADD s MAXLEN = 2 * f") == b"-ERR wrong number of arguments for 'xadd' command\r\n"


@pytest.mark.parametrize("form", ["MAXLEN ~ 200", "MAXLEN 3", "MAXLEN = 3"])
def test_the_usual_trimming_does_what_the_general_way_does(form: str) -> None:
    """`MAXLEN ~ n *` and `MAXLEN n *` have a way of their own; NOMKSTREAM or an equals sign make it the general one."""
    outcomes = []
    for options in (form, f"NOMKSTREAM {form}"):
        broker = make_broker()
        client = Client(broker)
        client.do("XADD s 0-1 a b")
        seen = journal(broker)
        changes = broker.keyspace.dirty
        for number in range(320):
            broker.clock.now = 1_000_000 + number
            client.do(f"XADD s {options} * n {number}")
        outcomes.append((lines(seen), broker.keyspace.dirty - changes, client.do("XRANGE s - +")))
    usual, general = outcomes
    assert [line.replace("NOMKSTREAM ", "") for line in general[0]] == usual[0]
    assert usual[1:] == general[1:]


@pytest.mark.parametrize(
    "arguments, error",
    [
        ("MAXLEN ~ -1 * a b", "ERR The MAXLEN argument must be >= 0."),
        ("MAXLEN x * a b", "ERR value is not an integer or out of range"),
        ("MAXLEN ~ 1 * a", "ERR wrong number of arguments for 'xadd' command"),
        ("MAXLEN 1 *", "ERR wrong number of arguments for 'xadd' command"),
        ("IDMPAUTO p LIMIT 1 9-* a b", "ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs"),
        (
            "LIMIT 1 IDMPAUTO p * a b",
            "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
        ),
    ],
)
def test_errors_of_options(client: Client, arguments: str, error: str) -> None:
    client.do("XADD s 1 a b")
    assert client.do(f"XADD s {arguments}") == f"-{error}\r\n".encode()


PASSED_OVER = ("XADD s 1 f v", "XADD s 2 f v", "XADD s 3 f v", "XADD s 4 f v", "XGROUP CREATE s g 0",
               "XREADGROUP GROUP g c STREAMS s >", "XACK s g 2 3")  # fmt: skip


@pytest.mark.parametrize(
    ("before", "older", "trim", "effects"),
    [
        ((), False, "XTRIM s MAXLEN 1 ACKED", ["XTRIM s MAXLEN = 2 ACKED"]),
        ((), True, "XTRIM s MAXLEN 1 ACKED", ["XDEL s 2-0 3-0", "XSETID s 4-0 MAXDELETEDID 0-1"]),
        ((), True, "XADD s ACKED MINID 3 5 f v", ["XADD s 5-0 f v", "XDEL s 2-0", "XSETID s 5-0 MAXDELETEDID 0-1"]),
        (("XADD s 4-1 f v", "XDEL s 4-1"), False, "XTRIM s MINID 4 ACKED",
         ["XDEL s 2-0 3-0", "XSETID s 4-1 MAXDELETEDID 4-1"]),
        (("XACK s g 1",), True, "XTRIM s MAXLEN 1 ACKED", ["XTRIM s MAXLEN = 1"]),
    ],
)  # fmt: skip
def test_trims_that_pass_over_entries(
    broker: Broker, client: Client, before: tuple[str, ...], older: bool, trim: str, effects: list[str]
) -> None:
    for command in (*PASSED_OVER, *before):
        client.do(command)
    broker.config.set([(b"replication-compat", b"7.0" if older else b"latest")])
    seen = journal(broker)
    client.do(trim)
    assert lines(seen) == effects
