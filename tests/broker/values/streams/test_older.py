"""Released entries, as streams for older servers have them."""

from broker.values.streams.group import MAX_COUNT
from broker.values.streams.older import RELEASED, without_released
from tests.broker.persistence.values_made import content, grouped_stream, released_stream


def test_a_consumer_of_their_own_has_the_released_entries() -> None:
    stream = released_stream()
    group = stream.groups[b"g"]
    ids = sorted(group.released())
    group.release(ids[0], MAX_COUNT)
    before = content(stream)
    older = without_released(stream)
    owners = older.groups[b"g"]
    assert owners.released_count() == 0
    assert list(owners.pending_of(owners.consumers[RELEASED])) == ids
    assert [(owners.pel[id].time, owners.pel[id].count) for id in ids] == [(0, MAX_COUNT), (0, 2), (0, 2)]
    assert owners.oldest(0, stream.__contains__) == list(group.released())  # the first released first
    assert list(owners.pending()) == list(group.pending())
    assert content(stream) == before and group.released_count() == 3


def test_a_stream_in_which_all_have_owners_stays_as_it_is() -> None:
    stream = grouped_stream()
    assert without_released(stream) is stream


def test_the_consumer_may_exist() -> None:
    stream = released_stream()
    group = stream.groups[b"g"]
    group.claim(next(group.released()), group.create_consumer(RELEASED, 5), 0, 1)
    owners = without_released(stream).groups[b"g"]
    assert owners.consumers[RELEASED].pending == 3 and owners.consumers[RELEASED].seen_time == 5
