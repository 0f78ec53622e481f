"""Producers and their idempotency IDs."""

from broker.values.stream_idempotency import Producers, content_iid


def test_an_iid_is_found_until_it_is_too_old() -> None:
    producers = Producers(duration=2, maxsize=10)
    assert producers.find(b"p", b"a") is None
    producers.record(b"p", b"a", 1000 << 64)
    producers.record(b"p", b"b", 2000 << 64)
    assert producers.find(b"p", b"a") == 1000 << 64
    assert producers.find(b"q", b"a") is None
    assert producers.next_expiry() == 2000
    assert producers.expire(2999)
    assert list(producers.producers) == [b"p"]
    assert not producers.expire(2999)
    assert producers.next_expiry() == 3000
    assert producers.expire(3000)
    assert producers.find(b"p", b"a") is None
    assert producers.tracked() == 1
    assert producers.expire(4000)
    assert producers.producers == {}
    assert producers.next_expiry() is None


def test_the_oldest_goes_where_there_are_too_many() -> None:
    producers = Producers(duration=100, maxsize=2)
    for n in range(3):
        producers.record(b"p", b"%d" % n, n)
    assert producers.find(b"p", b"0") is None
    assert producers.find(b"p", b"2") == 2
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
