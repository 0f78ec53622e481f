"""The replication history: offsets, IDs, and the backlog shared by all who read it."""

import pytest

from broker.replication.history import BLOCK, NO_ID, Backlog, History, Reader


def read(reader: Reader) -> bytes:
    parts = []
    while part := bytes(reader.part()):
        parts.append(part)
        reader.advance(len(part))
    return b"".join(parts)


def streamed(limit: int = 1 << 20) -> History:
    history = History(limit)
    history.open_backlog()
    return history


def test_without_a_backlog_only_the_offset_moves() -> None:
    history = History()
    history.append(b"12345")
    assert history.offset == 5
    assert history.backlog is None
    assert history.missing(history.id, 6) is None


def test_what_is_missing_is_read_from_the_requested_byte_on() -> None:
    history = History()
    history.append(b"before")
    history.open_backlog()
    history.append(b"abc")
    history.append(b"def")
    reader = history.missing(history.id, 9)
    assert reader is not None
    assert read(reader) == b"cdef"
    assert reader.offset == history.offset == 12
    history.append(b"g")
    assert read(reader) == b"g"


@pytest.mark.parametrize("offset", [6, 14, 0, -1])
def test_what_is_not_in_the_backlog_can_not_be_continued(offset: int) -> None:
    history = History()
    history.append(b"before")
    history.open_backlog()
    history.append(b"abcdef")
    assert history.missing(history.id, offset) is None
    assert history.refusal(history.id, offset) == f"lack of backlog (Replica request was: {offset})"


def test_the_end_of_the_stream_can_be_continued() -> None:
    history = streamed()
    history.append(b"abc")
    reader = history.missing(history.id.upper(), 4)
    assert reader is not None
    assert read(reader) == b""


def test_an_unknown_id_is_refused() -> None:
    history = streamed()
    assert history.missing("f" * 40, 1) is None
    assert "Replication ID mismatch (Replica asked for 'ff" in history.refusal("f" * 40, 1)
    assert history.missing("?", -1) is None


def test_a_backlog_keeps_its_limit_and_up_to_a_block_more() -> None:
    backlog = Backlog(0, 100_000)
    for number in range(30_000):
        backlog.append(b"%010d" % number)
        assert backlog.length <= 100_000 + BLOCK
    assert backlog.end == 300_000
    assert backlog.length >= 100_000
    assert read(backlog.reader(299_990)) == b"0000029999"
    assert read(backlog.reader(backlog.start)).endswith(b"0000029999")


def test_large_blocks_are_kept_as_they_are() -> None:
    backlog = Backlog(0, 10)
    large = bytes(BLOCK + 1)
    backlog.append(b"x")
    backlog.append(large)
    reader = backlog.reader(backlog.start)
    assert reader.part() is large


def test_a_reader_keeps_what_the_backlog_has_dropped() -> None:
    backlog = Backlog(0, 10)
    backlog.append(b"first")
    reader = backlog.reader(2)
    for _ in range(4):
        backlog.append(bytes(BLOCK))
    assert backlog.start > 5
    assert read(reader) == b"rst" + bytes(4 * BLOCK)


def test_a_reader_that_has_everything_skips_to_the_end() -> None:
    backlog = Backlog(0, 10)
    reader = backlog.reader(0)
    backlog.append(b"first")
    reader.skip_to_end(backlog)
    assert reader.offset == 5
    backlog.append(b"second")
    assert read(reader) == b"second"


def test_a_smaller_limit_drops_at_once() -> None:
    history = streamed(1 << 20)
    for _ in range(10):
        history.append(bytes(BLOCK))
    history.set_limit(BLOCK)
    assert history.backlog is not None
    assert history.backlog.length == BLOCK
    history.close_backlog()
    history.open_backlog()
    assert history.backlog.limit == BLOCK


def test_promoted_it_continues_the_old_id_up_to_the_promotion() -> None:
    history = streamed()
    history.append(b"abc")
    old = history.id
    history.promote()
    assert (history.second_id, history.second_offset) == (old, 4)
    assert history.id != old
    history.append(b"def")
    reader = history.missing(old, 4)
    assert reader is not None
    assert read(reader) == b"def"
    assert history.missing(old, 5) is None
    assert history.refusal(old, 5) == "Requested offset for second ID was 5, but I can reply up to 4"
    assert history.missing(history.id, 5) is not None


def test_renamed_it_remembers_the_old_id() -> None:
    history = streamed()
    history.append(b"abc")
    old = history.id
    history.rename("a" * 40)
    assert (history.id, history.second_id, history.second_offset) == ("a" * 40, old, 4)


def test_adopting_a_history_forgets_the_old_one() -> None:
    history = streamed()
    history.append(b"abc")
    history.promote()
    history.adopt("a" * 40, 1000)
    assert (history.id, history.offset, history.second_id, history.second_offset) == ("a" * 40, 1000, NO_ID, -1)
    assert history.missing("a" * 40, 1001) is not None
    assert history.missing("a" * 40, 1000) is None


def test_restored_it_continues_what_was_saved() -> None:
    history = History()
    history.restore("a" * 40, 1000)
    assert (history.offset, history.second_id, history.second_offset) == (1000, "a" * 40, 1001)
    history.append(b"abc")
    reader = history.missing("a" * 40, 1001)
    assert reader is not None
    assert read(reader) == b"abc"


def test_closing_the_backlog_changes_the_id() -> None:
    history = streamed()
    old = history.id
    history.promote()
    history.close_backlog()
    assert history.backlog is None
    assert (history.second_id, history.second_offset) == (NO_ID, -1)
    assert history.id != old
