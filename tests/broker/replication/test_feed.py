"""The stream: effects of a tick as one block, SELECT where the database changes, and a master's bytes verbatim."""

import pytest

from broker.config import Config
from broker.keyspace.effects import Effects, Unit
from broker.process.log import Log
from broker.replication.feed import MARKS, Feed
from broker.replication.history import History
from broker.replication.replicas import Replicas
from protocol.replies import bulks
from tests.broker.replication.test_history import read


class Fed:
    def __init__(self) -> None:
        self.effects = Effects()
        self.history = History()
        self.feed = Feed(self.effects, self.history, Replicas(Config(), Log("nothing"), self.history))

    def stream(self) -> bytes:
        assert self.history.backlog is not None
        return read(self.history.backlog.reader(0))


def test_nothing_is_collected_before_the_start() -> None:
    fed = Fed()
    fed.effects.flush(0, [b"SET", b"a", b"1"])
    assert not fed.effects.sinks
    assert not fed.feed.pending


def test_effects_of_a_tick_follow_a_select() -> None:
    fed = Fed()
    fed.feed.join()
    fed.effects.flush(0, [b"SET", b"a", b"1"])
    fed.effects.flush(0, [b"SET", b"b", b"1"])
    assert fed.history.offset == 0
    fed.feed.flush()
    expected = bulks([b"SELECT", b"0"]) + bulks([b"SET", b"a", b"1"]) + bulks([b"SET", b"b", b"1"])
    assert fed.stream() == expected
    assert fed.history.offset == len(expected)


def test_whoever_joins_is_told_the_database() -> None:
    fed = Fed()
    fed.feed.join()
    fed.effects.flush(3, [b"DEL", b"a"])
    fed.feed.join()
    fed.effects.flush(3, [b"DEL", b"b"])
    fed.feed.flush()
    select = bulks([b"SELECT", b"3"])
    assert fed.stream() == select + bulks([b"DEL", b"a"]) + select + bulks([b"DEL", b"b"])


def test_commands_of_our_own_come_after_what_is_pending() -> None:
    fed = Fed()
    fed.feed.join()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.feed.command(b"PING")
    assert fed.stream() == bulks([b"SELECT", b"0"]) + bulks([b"DEL", b"a"]) + bulks([b"PING"])


def test_stopped_it_has_streamed_everything() -> None:
    fed = Fed()
    fed.feed.join()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.feed.stop()
    assert fed.stream().endswith(bulks([b"DEL", b"a"]))
    assert not fed.effects.sinks
    fed.feed.relay(b"as it came")
    assert fed.stream().endswith(b"as it came")


def test_a_replica_streams_no_effects_of_its_own() -> None:
    fed = Fed()
    fed.feed.stop()
    fed.history.adopt("a" * 40, 100)
    fed.feed.join()
    assert not fed.effects.sinks
    assert fed.history.id == "a" * 40


def test_promoted_it_begins_with_the_database() -> None:
    fed = Fed()
    fed.feed.stop()
    fed.history.adopt("a" * 40, 0)
    fed.feed.start()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.feed.flush()
    assert fed.stream() == bulks([b"SELECT", b"0"]) + bulks([b"DEL", b"a"])


def test_a_master_without_a_backlog_starts_with_its_first_replica() -> None:
    fed = Fed()
    fed.feed.start()
    assert not fed.feed.active
    before = fed.history.id
    fed.feed.join()
    assert fed.feed.active
    assert fed.history.id != before


def test_messages_go_to_replicas_in_order_and_not_to_the_journal() -> None:
    fed = Fed()
    recorded: list[Unit] = []
    fed.effects.sinks.append(recorded.append)
    fed.feed.join()
    fed.effects.begin()
    fed.effects.flush(0, [b"SET", b"a", b"1"])
    fed.effects.publish(0, [b"PUBLISH", b"c", b"m"])
    fed.effects.flush(0, [b"SET", b"b", b"1"])
    fed.effects.end()
    fed.effects.publish(0, [b"PUBLISH", b"c", b"alone"])
    fed.feed.flush()
    assert recorded == [[(0, [b"SET", b"a", b"1"]), (0, [b"SET", b"b", b"1"])]]
    between = b"".join(bulks(words) for words in ([b"SET", b"a", b"1"], [b"PUBLISH", b"c", b"m"], [b"SET", b"b", b"1"]))
    transaction = bulks([b"MULTI"]) + between + bulks([b"EXEC"])
    assert fed.stream() == bulks([b"SELECT", b"0"]) + transaction + bulks([b"PUBLISH", b"c", b"alone"])


def test_a_transaction_of_messages_is_no_position_to_wait_for() -> None:
    fed = Fed()
    recorded: list[Unit] = []
    fed.effects.sinks.append(recorded.append)
    fed.feed.join()
    position = fed.effects.position
    fed.effects.begin()
    fed.effects.publish(0, [b"PUBLISH", b"c", b"m"])
    fed.effects.end()
    assert fed.effects.position == position
    assert not recorded
    fed.feed.flush()
    assert fed.stream().endswith(bulks([b"PUBLISH", b"c", b"m"]))


@pytest.mark.parametrize(
    ("to_journal", "to_replicas", "journal", "replicas"),
    [(True, False, [b"a", b"b", b"c"], [b"a", b"c"]), (False, True, [b"a", b"c"], [b"a", b"b", b"c"]),
     (False, False, [b"a", b"c"], [b"a", b"c"])],
)  # fmt: skip
def test_a_script_chooses_who_gets_its_writes(
    to_journal: bool, to_replicas: bool, journal: list[bytes], replicas: list[bytes]
) -> None:
    fed = Fed()
    recorded: list[Unit] = []
    fed.effects.sinks.append(recorded.append)
    fed.feed.join()
    fed.effects.begin()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.effects.restrict(to_journal=to_journal, to_replicas=to_replicas)
    fed.effects.flush(0, [b"DEL", b"b"])
    fed.effects.restrict(to_journal=True, to_replicas=True)
    fed.effects.flush(0, [b"DEL", b"c"])
    fed.effects.end()
    assert [command[1] for _, command in recorded[0]] == journal
    assert [command[1] for _, command in fed.feed.pending[0]] == replicas


def test_the_offset_of_a_position_covers_everything_up_to_it() -> None:
    fed = Fed()
    fed.feed.join()
    fed.effects.flush(0, [b"DEL", b"a"])
    first = fed.effects.position
    fed.feed.flush()
    after_first = fed.history.offset
    fed.effects.flush(0, [b"DEL", b"b"])
    assert fed.feed.offset_of(first) == after_first
    assert fed.feed.offset_of(fed.effects.position) == fed.history.offset > after_first
    assert fed.feed.offset_of(0) == 0


def test_old_positions_are_remembered_less_exactly() -> None:
    fed = Fed()
    fed.feed.join()
    exact = {}
    for _ in range(3 * MARKS):
        fed.effects.flush(0, [b"DEL", b"a"])
        fed.feed.flush()
        exact[fed.effects.position] = fed.history.offset
    assert all(exact[position] <= fed.feed.offset_of(position) for position in exact)
    last = fed.effects.position
    assert fed.feed.offset_of(last) == exact[last]


def test_what_has_expired_during_a_script_goes_to_everybody() -> None:
    fed = Fed()
    recorded: list[Unit] = []
    fed.effects.sinks.append(recorded.append)
    fed.feed.join()
    fed.effects.begin()
    fed.effects.restrict(to_journal=True, to_replicas=False)
    fed.effects.add(0, [b"DEL", b"expired"])
    fed.effects.flush(0, None)
    fed.effects.restrict(to_journal=True, to_replicas=True)
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.effects.end()
    assert [command[1] for _, command in recorded[0]] == [b"expired", b"a"]
    assert [command[1] for _, command in fed.feed.pending[0]] == [b"expired", b"a"]
