"""A doorbell: no ring is lost, and none is answered twice."""

import anyio
import trio
from trio.testing import wait_all_tasks_blocked

from consumers.doorbell import Doorbell


async def _rings(bell: Doorbell) -> bool:
    """Whether a wait() returns without another ring."""
    with anyio.move_on_after(1) as scope:
        await bell.wait()
    return not scope.cancelled_caught


async def test_who_waits_is_woken() -> None:
    bell, answered = Doorbell(), list[int]()

    async def answer() -> None:
        for n in range(2):
            await bell.wait()
            answered.append(n)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        await wait_all_tasks_blocked()
        assert answered == []
        bell.ring()
        await wait_all_tasks_blocked()
        assert answered == [0]
        bell.ring()
    assert answered == [0, 1]


async def test_a_ring_waits_for_its_answer_and_many_have_one(autojump_clock: trio.testing.MockClock) -> None:
    bell = Doorbell()
    assert not await _rings(bell)
    for _ in range(3):
        bell.ring()
    assert await _rings(bell)
    assert not await _rings(bell)


async def test_a_ring_between_answering_and_waiting_again_counts(autojump_clock: trio.testing.MockClock) -> None:
    bell = Doorbell()
    bell.ring()
    await bell.wait()
    bell.ring()
    assert await _rings(bell)


async def test_a_cancelled_wait_answers_nothing(autojump_clock: trio.testing.MockClock) -> None:
    bell = Doorbell()
    bell.ring()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await bell.wait()
    assert scope.cancelled_caught
    assert await _rings(bell)


async def test_a_ring_at_the_moment_of_the_cancellation_is_answered_or_kept() -> None:
    bell, answered = Doorbell(), False

    async def answer() -> None:
        nonlocal answered
        with anyio.CancelScope() as scopes[0]:
            await bell.wait()
            answered = True

    scopes = [anyio.CancelScope()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        await wait_all_tasks_blocked()
        bell.ring()
        scopes[0].cancel()
    assert answered or await _rings(bell)
