"""Cancellation on both loops, and asyncio's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from consumers import loops
from consumers.errors import cut_short

pytestmark = pytest.mark.both_loops


async def test_what_the_loop_is(loop: str) -> None:
    assert loops.current_loop() == loop
    assert loops.cancelled_class() == (anyio.get_cancelled_exc_class(),)
    assert loops.backend().current_time() <= anyio.current_time()
    assert loops.is_running()
    assert not await anyio.to_thread.run_sync(loops.is_running)


def test_outside_a_loop() -> None:
    assert loops.cancelled_class() == ()
    assert not loops.is_running()


async def test_a_scope_cancels_what_is_in_it_unless_shielded() -> None:
    assert not loops.is_cancelled()
    with anyio.CancelScope() as scope:
        scope.cancel()
        assert loops.is_cancelled()
        with anyio.CancelScope(shield=True):
            assert not loops.is_cancelled()
    assert not loops.is_cancelled()


async def test_a_scope_needs_nobody_to_cancel_again() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            loops.cancel_again()
        await checkpoint()
    assert scope.cancelled_caught
    await checkpoint()


def natively(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run `main` as a task of asyncio, and cancel it once everything waits."""

    async def around() -> Any:
        task = asyncio.ensure_future(main())
        await anyio.wait_all_tasks_blocked()
        task.cancel()
        return await task

    return asyncio.run(around())


def test_a_native_cancellation_that_was_caught_is_raised_again() -> None:
    async def main() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            assert loops.is_cancelled() and cut_short(error) is error
            loops.cancel_again()
        await asyncio.sleep(0)
        raise AssertionError

    with pytest.raises(asyncio.CancelledError):
        natively(main)


def test_what_awaiting_a_cancelled_task_raises_is_no_cancellation() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        try:
            await future
        except asyncio.CancelledError as error:
            assert not loops.is_cancelled() and cut_short(error) is None
            loops.cancel_again()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_group_raised_during_a_cancellation_is_cut_short() -> None:
    async def main() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            error = ExceptionGroup("untidy", [ValueError()])
            assert isinstance(cut_short(error), asyncio.CancelledError) and cut_short(ValueError()) is None
            raise

    with pytest.raises(asyncio.CancelledError):
        natively(main)


def test_a_task_that_cancels_itself_is_forgiven() -> None:
    async def child(owner: loops.Owner) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            assert owner.forgives(error) and not owner.forgives(ValueError())
        await asyncio.sleep(0)
        return "goes on"

    async def main() -> str:
        return await asyncio.create_task(child(loops.Owner()))

    assert asyncio.run(main()) == "goes on"


def test_a_task_whose_owner_is_cancelled_is_not() -> None:
    async def child(owner: loops.Owner) -> bool:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as error:
            return owner.forgives(error)
        return True

    async def main() -> None:
        task = asyncio.create_task(child(loops.Owner()))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            task.cancel()
            assert await task is False
            raise

    with pytest.raises(asyncio.CancelledError):
        natively(main)
