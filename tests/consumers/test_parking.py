"""Where tasks wait in line."""

import asyncio

import anyio
import pytest

from consumers.parking import ParkingLot

pytestmark = pytest.mark.both_loops


async def test_tasks_are_woken_in_the_order_in_which_they_came() -> None:
    lot, woken = ParkingLot(), list[int]()

    async def wait(number: int) -> None:
        await lot.park()
        woken.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(wait, number)
            await anyio.wait_all_tasks_blocked()
        assert len(lot) == 5 and lot
        lot.unpark(count=2)
        await anyio.wait_all_tasks_blocked()
        assert sorted(woken) == [0, 1]
        lot.unpark()
        await anyio.wait_all_tasks_blocked()
        assert woken[2:] == [2]
        lot.unpark_all()
    assert sorted(woken) == [0, 1, 2, 3, 4] and not lot


async def test_a_wake_up_is_not_kept() -> None:
    lot = ParkingLot()
    lot.unpark_all()
    with anyio.move_on_after(0.01) as scope:
        await lot.park()
    assert scope.cancelled_caught and not lot


async def test_a_cancelled_task_leaves_the_line() -> None:
    lot, woken = ParkingLot(), list[str]()

    async def wait(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            await lot.park()
            woken.append(name)

    async with anyio.create_task_group() as tasks:
        leaving = anyio.CancelScope()
        tasks.start_soon(wait, "leaves", leaving)
        tasks.start_soon(wait, "stays", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await anyio.wait_all_tasks_blocked()
        lot.unpark()
    assert woken == ["stays"]


def test_a_wake_up_for_a_task_that_asyncio_cancels_goes_to_the_next_one() -> None:
    async def main() -> None:
        lot = ParkingLot()
        first, second = (asyncio.create_task(lot.park()) for _ in range(2))
        await anyio.wait_all_tasks_blocked()
        lot.unpark()
        first.cancel()
        await asyncio.wait_for(second, 5)
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(main())
