"""The bounded buffer: what a slow service still gets, and what it is told."""

import anyio
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint

from consumers.fanout.buffer import Buffer, SlowConsumerError, WhenFull
from consumers.fanout.messages import Gap, Message, Reason


def message(number: int) -> Message:
    return Message("c", b"%d" % number)


def filled(buffer: Buffer, count: int) -> Buffer:
    for number in range(count):
        buffer.put(message(number))
    return buffer


async def drained(buffer: Buffer) -> list[int | Gap]:
    """All that waits: messages as their numbers."""
    items: list[int | Gap] = []
    while buffer._items or buffer._leading:
        item = await buffer.take()
        items.append(item if isinstance(item, Gap) else int(item.data))
    return items


@pytest.mark.parametrize("policy", WhenFull)
async def test_what_finds_room_arrives_in_order(policy: WhenFull) -> None:
    buffer = filled(Buffer(5, policy), 5)
    assert buffer.length == 5
    assert await drained(buffer) == [0, 1, 2, 3, 4]
    assert (buffer.received, buffer.dropped, buffer.length) == (5, 0, 0)


async def test_drop_oldest_keeps_the_latest_and_tells_of_the_hole_first() -> None:
    buffer = filled(Buffer(3, WhenFull.DROP_OLDEST), 10)
    assert await drained(buffer) == [Gap(Reason.OVERFLOW, 7), 7, 8, 9]
    assert (buffer.received, buffer.dropped) == (10, 7)


async def test_drop_newest_keeps_the_first_and_tells_of_the_hole_after_them() -> None:
    buffer = filled(Buffer(3, WhenFull.DROP_NEWEST), 10)
    assert (await buffer.take(), buffer.dropped) == (message(0), 7)
    buffer.put(message(10))
    assert await drained(buffer) == [1, 2, Gap(Reason.OVERFLOW, 7), 10]


async def test_an_error_comes_after_what_was_complete() -> None:
    buffer = filled(Buffer(2, WhenFull.ERROR), 5)
    assert buffer.failed
    assert await drained(buffer) == [0, 1]
    for _ in range(2):
        with pytest.raises(SlowConsumerError, match="more than 2 messages were waiting"):
            await buffer.take()


async def test_the_latest_of_each_key_waits_at_the_place_of_the_first() -> None:
    buffer = Buffer(2, WhenFull.DROP_OLDEST, key=lambda message: message.channel)
    for channel, data in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")):
        buffer.put(Message(channel, data))
    assert [await buffer.take(), await buffer.take()] == [Message("a", b"4"), Message("b", b"2")]
    assert (buffer.received, buffer.conflated, buffer.dropped) == (4, 2, 0)


async def test_more_keys_than_room_are_dropped_by_the_policy() -> None:
    buffer = Buffer(2, WhenFull.DROP_OLDEST, key=lambda message: message.channel)
    for channel in "abc":
        buffer.put(Message(channel, b"1"))
    assert await buffer.take() == Gap(Reason.OVERFLOW, 1)
    assert await buffer.take() == Message("b", b"1")
    assert (buffer.conflated, buffer.dropped, buffer.length) == (0, 1, 1)


async def test_a_key_is_new_again_once_its_message_was_taken() -> None:
    buffer = Buffer(2, WhenFull.DROP_OLDEST, key=lambda message: message.channel)
    buffer.put(Message("a", b"1"))
    assert await buffer.take() == Message("a", b"1")
    buffer.put(Message("a", b"2"))
    assert await buffer.take() == Message("a", b"2")
    assert buffer.conflated == 0


async def test_a_gap_stands_where_it_happened() -> None:
    buffer = filled(Buffer(5, WhenFull.DROP_OLDEST), 2)
    buffer.put_gap(Gap(Reason.RECONNECTED, None, 1.5))
    buffer.put(message(2))
    assert await drained(buffer) == [0, 1, Gap(Reason.RECONNECTED, None, 1.5), 2]


async def test_gaps_next_to_each_other_are_one() -> None:
    buffer = Buffer(1, WhenFull.DROP_OLDEST)
    buffer.put_gap(Gap(Reason.RECONNECTED, None, 1.0))
    buffer.put_gap(Gap(Reason.RECONNECTED, None, 2.0))
    assert await drained(buffer) == [Gap(Reason.RECONNECTED, None, 3.0)]
    buffer.put(message(0))
    buffer.put_gap(Gap(Reason.RECONNECTED, None, 1.0))
    filled(buffer, 3)
    assert await drained(buffer) == [Gap(Reason.RECONNECTED, None, 1.0), 2]
    assert buffer.length == 0


async def test_gaps_take_no_room_and_do_not_pile_up() -> None:
    buffer = Buffer(10, WhenFull.DROP_NEWEST)
    for number in range(1000):
        buffer.put_gap(Gap(Reason.RECONNECTED))
        buffer.put(message(number))
    assert buffer.length == 10
    assert len(buffer._items) <= 21


async def test_a_reader_waits_for_a_message(autojump_clock: trio.testing.MockClock) -> None:
    buffer = Buffer(1, WhenFull.ERROR)
    got: list[object] = []

    async def read() -> None:
        got.append(await buffer.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(read)
        await anyio.sleep(1)
        buffer.put(message(0))
        await anyio.sleep(1)
        assert got == [message(0)]
        buffer.put(message(1))
    assert got == [message(0), message(1)]


async def test_all_readers_get_the_error() -> None:
    buffer = Buffer(1, WhenFull.ERROR)
    failed = 0

    async def read() -> None:
        nonlocal failed
        with pytest.raises(ValueError, match="why"):
            await buffer.take()
        failed += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        buffer.fail(ValueError("why"))
        buffer.fail(ValueError("later"))
    buffer.put(message(0))
    assert failed == 2 and buffer.length == 0


async def test_taking_lets_others_run_and_can_be_cancelled() -> None:
    buffer = filled(Buffer(1000, WhenFull.ERROR), 1000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        for _ in range(900):
            await buffer.take()
        tasks.cancel_scope.cancel()
    assert turns >= 10
    with anyio.CancelScope() as scope:
        scope.cancel()
        await buffer.take()
    assert scope.cancelled_caught and buffer.length == 100


def test_a_buffer_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Buffer(0, WhenFull.ERROR)
