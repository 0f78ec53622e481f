"""ACL LOG: order, merging, limits."""

from broker.acl.log import AUTH, COMMAND, GROUPING_MS, KEY, OBJECT_MAX, TOP_LEVEL, AclLog
from broker.config import Config
from tests.broker.sessions import StoppedClock


def make_log(most: int = 128) -> tuple[AclLog, StoppedClock]:
    config = Config()
    config.acllog_max_len = most
    clock = StoppedClock()
    clock.update()
    return AclLog(config, clock), clock


def test_equal_events_are_counted_together_for_a_minute() -> None:
    log, clock = make_log()
    log.add(KEY, TOP_LEVEL, b"a", b"u", b"one")
    log.add(KEY, TOP_LEVEL, b"b", b"u", b"one")
    clock.now += GROUPING_MS
    log.add(KEY, TOP_LEVEL, b"a", b"u", b"two")
    assert [(entry.object, entry.count, entry.client) for entry in log.entries] == [
        (b"a", 2, b"two"),
        (b"b", 1, b"one"),
    ]
    assert log.entries[0].updated - log.entries[0].created == GROUPING_MS
    clock.now += GROUPING_MS + 1
    log.add(KEY, TOP_LEVEL, b"a", b"u", b"three")
    assert [(entry.id, entry.count) for entry in log.entries] == [(2, 1), (0, 2), (1, 1)]


def test_only_the_ten_latest_are_searched() -> None:
    log, _ = make_log()
    for number in range(11):
        log.add(KEY, TOP_LEVEL, b"%d" % number, b"u", b"")
    log.add(KEY, TOP_LEVEL, b"0", b"u", b"")
    assert len(log.entries) == 12


def test_length() -> None:
    log, _ = make_log(2)
    for number in range(5):
        log.add(COMMAND, TOP_LEVEL, b"%d" % number, b"u", b"")
    assert [entry.object for entry in log.entries] == [b"4", b"3"]
    none, _ = make_log(0)
    none.add(AUTH, TOP_LEVEL, b"AUTH", b"u", b"")
    assert none.entries == []
    assert none.denied[AUTH] == 1


def test_huge_keys_are_cut() -> None:
    log, _ = make_log()
    log.add(KEY, TOP_LEVEL, b"k" * (OBJECT_MAX + 1), b"u", b"")
    assert len(log.entries[0].object) == OBJECT_MAX
