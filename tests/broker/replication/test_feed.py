"""The stream: effects of a tick as one block, SELECT where the database changes, and a master's bytes verbatim."""

from broker.keyspace.effects import Effects
from broker.replication.feed import Feed
from broker.replication.history import History
from broker.replication.replicas import Replicas
from protocol.replies import bulks
from tests.broker.replication.test_history import read


class Fed:
    def __init__(self) -> None:
        self.effects = Effects()
        self.history = History()
        self.feed = Feed(self.effects, self.history, Replicas())
        self.history.open_backlog()

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
    fed.feed.start()
    fed.effects.flush(0, [b"SET", b"a", b"1"])
    fed.effects.flush(0, [b"SET", b"b", b"1"])
    assert fed.history.offset == 0
    fed.feed.flush()
    expected = bulks([b"SELECT", b"0"]) + bulks([b"SET", b"a", b"1"]) + bulks([b"SET", b"b", b"1"])
    assert fed.stream() == expected
    assert fed.history.offset == len(expected)


def test_whoever_joins_is_told_the_database() -> None:
    fed = Fed()
    fed.feed.start()
    fed.effects.flush(3, [b"DEL", b"a"])
    fed.feed.forget_database()
    fed.effects.flush(3, [b"DEL", b"b"])
    fed.feed.flush()
    select = bulks([b"SELECT", b"3"])
    assert fed.stream() == select + bulks([b"DEL", b"a"]) + select + bulks([b"DEL", b"b"])


def test_commands_of_our_own_come_after_what_is_pending() -> None:
    fed = Fed()
    fed.feed.start()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.feed.command(b"PING")
    assert fed.stream() == bulks([b"SELECT", b"0"]) + bulks([b"DEL", b"a"]) + bulks([b"PING"])


def test_stopped_it_has_streamed_everything() -> None:
    fed = Fed()
    fed.feed.start()
    fed.effects.flush(0, [b"DEL", b"a"])
    fed.feed.stop()
    assert fed.stream().endswith(bulks([b"DEL", b"a"]))
    assert not fed.effects.sinks
    fed.feed.relay(b"as it came")
    assert fed.stream().endswith(b"as it came")
