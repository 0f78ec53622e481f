"""The guarantee of SCAN, HSCAN, SSCAN and ZSCAN through the broker: what is there from the start of an iteration to its
end is returned, at any rate of additions and removals, and a call's work does not grow with the collection.
"""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.broker import Broker
from broker.clients.session import Session
from tests.broker.sessions import make_broker, make_session, run
from tests.broker.values.test_positions import PURE
from tests.oracle.wire import parse, split

# Collections in Redis's small encodings are returned in one call; these are never small.
NEVER_SMALL = {
    "hash_max_listpack_entries": 0,
    "set_max_listpack_entries": 0,
    "set_max_intset_entries": 0,
    "zset_max_listpack_entries": 0,
}

PACKED_MAX = 64
"""The most fields that compiled modules keep packed, whatever the encoding is called."""

FAMILIES = {
    "SCAN": ("SCAN {cursor} COUNT {count}", "SET {e} 1", "DEL {e}", 1),
    "HSCAN": ("HSCAN k {cursor} COUNT {count} NOVALUES", "HSET k {e} 1", "HDEL k {e}", 1),
    "SSCAN": ("SSCAN k {cursor} COUNT {count}", "SADD k {e}", "SREM k {e}", 1),
    "ZSCAN": ("ZSCAN k {cursor} COUNT {count}", "ZADD k 1 {e}", "ZREM k {e}", 2),
}
CHANGED = {
    "SCAN": ["INCR {e}", "SET {e} 2 EX 100", "APPEND {e} 3", "MSET {e} 1 {e} 4", "GETSET {e} 5", "SET fresh 1",
             "DEL fresh", "SET fresh 1", "RENAME fresh {e}", "COPY {e} copy REPLACE", "COPY copy {e} REPLACE",
             "RANDOMKEY"],
    "HSCAN": ["HSET k {e} 2", "HINCRBY k {e} 3", "HPEXPIRE k 100000 FIELDS 1 {e}", "HRANDFIELD k 2", "HSETNX k {e} 1"],
    "SSCAN": ["SADD k {e}", "SRANDMEMBER k", "SMOVE k k {e}", "SRANDMEMBER k 5"],
    "ZSCAN": ["ZADD k 7 {e}", "ZINCRBY k 3 {e}", "ZADD k GT CH 9 {e}", "ZRANDMEMBER k", "ZINCRBY k -20 {e}"],
}  # fmt: skip


class Scan:
    """One client's iteration; `due` are the elements that it must still be given."""

    def __init__(self, family: str, session: Session, present: set[bytes]) -> None:
        self._call, _, _, self._stride = FAMILIES[family]
        self._session = session
        self._cursor = b"0"
        self.due = set(present)

    def go_on(self, count: int, present: set[bytes]) -> bool:
        """One call; whether it was the last."""
        reply = parse(run(self._session, self._call.format(cursor=self._cursor.decode(), count=count)))
        cursor, elements = reply.items
        found = [item.text for item in elements.items][:: self._stride]
        # Redis may return some more; ours looks at no more than are asked for, but that a packed hash comes whole.
        assert len(found) <= max(count, PACKED_MAX)
        assert set(found) <= present
        self.due -= set(found)
        self._cursor = cursor.text
        if cursor.text != b"0":
            return False
        assert not self.due
        return True


class Collection:
    """What a scan walks over, and a model of it."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.session = make_session(make_broker(**NEVER_SMALL))
        self.present: set[bytes] = set()

    def add(self, numbers: range) -> None:
        self._each(FAMILIES[self.family][1], numbers)
        self.present |= set(map(b"%d".__mod__, numbers))

    def remove(self, numbers: range) -> None:
        self._each(FAMILIES[self.family][2], numbers)
        self.present -= set(map(b"%d".__mod__, numbers))

    def change(self, number: int) -> None:
        if b"%d" % number in self.present:
            for command in CHANGED[self.family]:
                assert not run(self.session, command.format(e=number)).startswith(b"-"), command
            if self.family == "SCAN":
                run(self.session, "DEL copy")

    def _each(self, command: str, numbers: range) -> None:
        if numbers:
            run(self.session, *(split(command.format(e=number)) for number in numbers))


_places = st.integers(0, 1500)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _places, st.integers(1, 600)),
        st.tuples(st.just("remove"), _places, st.integers(1, 600)),
        st.tuples(st.just("change"), _places, st.just(1)),
        st.tuples(st.just("scan"), st.integers(1, 40), st.integers(1, 12)),
        st.tuples(st.just("scan"), st.integers(1, 40), st.integers(1, 12)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=60)
@given(start=st.integers(0, 1200), steps=_steps)
def test_what_stays_is_returned(family: str, start: int, steps: list[tuple[str, int, int]]) -> None:
    collection = Collection(family)
    collection.add(range(start))
    scans = [Scan(family, collection.session, collection.present)]
    for step, first, number in steps:
        if step == "scan":
            for scan in list(scans):
                if any(scan.go_on(first, collection.present) for _ in range(number)):
                    scans.remove(scan)
            if len(scans) < 3:
                scans.append(Scan(family, collection.session, collection.present))
        elif step == "change":
            collection.change(first)
        elif step == "add":
            collection.add(range(first, first + number))
        else:
            collection.remove(range(first, first + number))
        for scan in scans:
            scan.due &= collection.present
    for scan in scans:
        for _ in range(3000):
            if scan.go_on(10, collection.present):
                break
        else:
            pytest.fail("the iteration does not end")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rate", [1, 9, 40])
def test_an_iteration_ends_while_elements_come_and_go(family: str, rate: int) -> None:
    """Between two calls of COUNT 10 up to 40 new elements come, and as many of the oldest go."""
    collection = Collection(family)
    collection.add(range(2000))
    stays = range(0, 2000, 7)
    scan = Scan(family, collection.session, set(map(b"%d".__mod__, stays)))
    next_one = 10_000
    for _ in range(2000):
        collection.add(range(next_one, next_one + rate))
        collection.remove(range(next_one - 5 * rate, next_one - 4 * rate))
        next_one += rate
        if scan.go_on(10, collection.present):
            return
    pytest.fail("the iteration does not end")


REPLACED = [
    "SET k 2", "GETSET k 2", "MSET k 2", "SETEX k 100 2", "RENAME other k", "COPY other k REPLACE", "SUNIONSTORE k s",
    "ZUNIONSTORE k 1 z", "ZRANGESTORE k z 0 -1", "SORT l STORE k", "BITOP OR k other other", "PFMERGE k p",
    "GEOSEARCHSTORE k g FROMLONLAT 1 1 BYRADIUS 1 km",
]  # fmt: skip


@pytest.mark.parametrize("command", REPLACED)
def test_a_key_that_is_replaced_is_not_missed(command: str) -> None:
    """Not even if that happens while an iteration has keys before it behind itself, and others not."""
    session = make_session(make_broker())
    run(session, "SET other v", "SADD s a", "ZADD z 1 a", "RPUSH l 1", "PFADD p a", "GEOADD g 1 1 a")
    run(session, "PFADD k a" if command.startswith("PFMERGE") else "SET k 1")
    run(session, *(f"SET {number} 1" for number in range(100)))
    scan = Scan("SCAN", session, {b"k"})
    present = {name for name in session.db.data if name != b"other"} | {b"other"}
    assert not scan.go_on(50, present) and scan.due
    assert not run(session, command).startswith(b"-")
    while not scan.go_on(10, present):
        pass


class Counted:
    """Stands for PyDict_Next, and counts its calls."""

    def __init__(self, function: object) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *args: object) -> int:
        self.calls += 1
        return self._function(*args)  # type: ignore[operator, no-any-return]


@pytest.fixture(scope="module")
def million() -> Broker:
    """A broker with a hash, a set and a sorted set of 1,000,000 elements, made the short way, and as many keys."""
    broker = make_broker(**NEVER_SMALL)
    session = make_session(broker)
    for family in ("HSCAN", "SSCAN", "ZSCAN"):
        run(session, FAMILIES[family][1].replace(" k ", f" {family} ").format(e="first"))
    data = session.db.data
    for number in range(1_000_000):
        name = b"%d" % number
        data[b"HSCAN"][name] = b"1"
        dict.__setitem__(data[b"SSCAN"], name, None)
        data[b"ZSCAN"].scores[name] = 1.0
    for number in range(1_000_000):
        data[b"%d" % number] = b"1"
    return broker


@pytest.mark.parametrize("count", [1, 10, 1000])
@pytest.mark.parametrize("family", FAMILIES)
def test_work_at_a_million_elements(family: str, count: int, million: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in positions looked at: those of the portion, and the search for the last one in use."""
    counted = Counted(PURE._next)
    monkeypatch.setattr(PURE, "_next", counted)
    monkeypatch.setattr("broker.values.positions.window", PURE.window)
    session = make_session(million)
    call = FAMILIES[family][0].replace(" k ", f" {family} ")
    cursor = "0"
    for _ in range(20):
        before = counted.calls
        reply = run(session, call.format(cursor=cursor, count=count))
        cursor = re.findall(rb"\A\*2\r\n\$\d+\r\n(\d+)\r\n", reply)[0].decode()
        assert counted.calls - before <= count + 50
    assert cursor != "0"
