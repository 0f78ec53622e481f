"""What is loaded, put into the keyspace."""

from broker.formats.rdb.target import KeyspaceTarget, MergingTarget
from tests.broker.persistence.values_made import expiring_hash
from tests.broker.sessions import make_broker

FAR = 4_000_000_000_000


def test_keys_with_all_that_belongs_to_them() -> None:
    keyspace = make_broker(maxmemory_policy="allkeys-lru").keyspace
    target = KeyspaceTarget(keyspace)
    assert target.put(b"a", b"v", None, None, None)
    assert target.select(3) and not target.select(16)
    assert target.put(b"a", b"w", FAR, 60, None)
    assert target.put(b"h", expiring_hash(3, 1), None, None, None)
    assert target.put_strings({b"x": b"1", b"y": b"2"}, {b"y": FAR + 1})
    first, third = keyspace.databases[0], keyspace.databases[3]
    assert first.data == {b"a": b"v"}
    assert list(third.data) == [b"a", b"h", b"x", b"y"]
    assert third.expires == {b"a": FAR, b"y": FAR + 1}
    assert third.field_deadlines == {b"h": third.data[b"h"].earliest_deadline()}
    assert keyspace.access.idle_seconds(third, b"a") == 60
    assert keyspace.next_deadline == FAR


def test_keys_that_are_there_already() -> None:
    target = KeyspaceTarget(make_broker().keyspace)
    assert target.put(b"a", b"v", None, None, None)
    assert not target.put(b"a", b"w", None, None, None)
    assert target.put_strings({b"b": b"1"}, {})
    assert not target.put_strings({b"c": b"1", b"b": b"1"}, {})
    assert not target.put(b"c", b"w", None, None, None)


def test_facts_and_functions_are_collected() -> None:
    target = KeyspaceTarget(make_broker().keyspace)
    target.aux(b"redis-ver", b"7.0.15")
    target.aux(b"ctime", b"1")
    target.function(b"#!lua name=a")
    target.function(b"#!lua name=b")
    assert target.facts == {b"redis-ver": b"7.0.15", b"ctime": b"1"}
    assert target.functions == [b"#!lua name=a", b"#!lua name=b"]


def test_a_merging_target_replaces_keys_and_their_deadlines() -> None:
    keyspace = make_broker().keyspace
    target = KeyspaceTarget(keyspace)
    assert target.put_strings({b"a": b"1", b"b": b"1"}, {b"a": FAR, b"b": FAR})
    merging = MergingTarget(keyspace)
    assert merging.put(b"a", b"2", None, None, None)
    assert merging.put_strings({b"b": b"2", b"c": b"2"}, {b"c": FAR})
    database = keyspace.databases[0]
    assert database.data == {b"a": b"2", b"b": b"2", b"c": b"2"} and database.expires == {b"c": FAR}
