"""Producers and their idempotency IDs."""

from broker.values.streams.idempotency import Producers, content_iid
from tests.twins import needs_source


def test_an_iid_is_found_until_it_is_too_old() -> None:
    producers = Producers(duration=2, maxsize=10)
    assert producers.find(b"p", b"a", 1000) is None
    producers.record(b"p", b"a", 1000 << 64)
    producers.record(b"p", b"b", 2000 << 64)
    assert producers.find(b"p", b"a", 2999) == 1000 << 64
    assert producers.find(b"p", b"a", 3000) is None
    assert producers.tracked() == 1
    assert producers.find(b"q", b"a", 3000) is None
    assert list(producers.producers) == [b"p", b"q"]


def test_old_ones_go_from_all_producers() -> None:
    producers = Producers(duration=2, maxsize=10)
    producers.record(b"p", b"a", 1000 << 64)
    producers.record(b"p", b"b", 2000 << 64)
    producers.record(b"q", b"a", 1000 << 64)
    assert not producers.expire(2999)
    assert producers.expire(3000)
    assert list(producers.producers) == [b"p"]
    assert producers.find(b"r", b"a", 4000) is None
    assert list(producers.producers) == [b"r"]


@needs_source("broker.values.streams.idempotency")
def test_looking_is_cheap_however_many_producers_there_are() -> None:
    calls = 0

    class Counting(Producers):
        def expire(self, now: int) -> bool:
            nonlocal calls
            calls += 1
            return super().expire(now)

    producers = Counting(duration=100, maxsize=10)
    for n in range(2000):
        producers.find(b"%d" % n, b"a", 5000 + n)
        producers.record(b"%d" % n, b"a", (5000 + n) << 64)
    assert calls == 2


def test_the_oldest_goes_where_there_are_too_many() -> None:
    producers = Producers(duration=100, maxsize=2)
    for n in range(3):
        producers.record(b"p", b"%d" % n, n << 64)
    assert producers.find(b"p", b"0", 0) is None
    assert producers.find(b"p", b"2", 0) == 2 << 64
    assert producers.added == 3


def test_a_new_setting_forgets_all() -> None:
    producers = Producers(duration=100, maxsize=2)
    producers.record(b"p", b"a", 1)
    assert not producers.configure(100, None)
    assert producers.tracked() == 1
    assert producers.configure(None, 3)
    assert producers.tracked() == 0
    assert producers.memory() > 0


def test_a_copy_is_its_own() -> None:
    producers = Producers(duration=100, maxsize=2)
    producers.record(b"p", b"a", 1)
    other = producers.copy()
    other.record(b"p", b"b", 2)
    assert producers.tracked() == 1
    assert other.added == 2


def test_content_iids() -> None:
    pairs = [b"a", b"1", b"b", b"2"]
    assert len(content_iid(pairs)) == 16
    assert content_iid(pairs) == content_iid([b"b", b"2", b"a", b"1"])
    assert content_iid(pairs) != content_iid([b"a", b"2", b"b", b"1"])
    assert content_iid([b"ab", b"c"]) != content_iid([b"a", b"bc"])
