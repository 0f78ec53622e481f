"""A tasks without a group around one exception."""

import anyio
import pytest

from consumers.task_groups import Border, open_plain_task_group

pytestmark = pytest.mark.both_loops


async def _fail(error: Exception) -> None:
    raise error


async def test_one_exception_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with open_plain_task_group() as tasks:
            tasks.start_soon(_fail, KeyError("x"))
    cause = ValueError("cause")
    with pytest.raises(KeyError) as caught:
        async with open_plain_task_group():
            raise KeyError("x") from cause
    assert caught.value.__cause__ is cause and not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_a_users_own_group_is_left_alone() -> None:
    with pytest.raises(ExceptionGroup, match="mine"):
        async with open_plain_task_group():
            raise ExceptionGroup("mine", [KeyError("x")])


async def test_several_exceptions_make_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with open_plain_task_group() as tasks:
            tasks.start_soon(_fail, KeyError("x"))
            tasks.start_soon(_fail, ValueError("y"))
    assert {type(error) for error in caught.value.exceptions} == {KeyError, ValueError}


@pytest.mark.parametrize("inner", [False, True])
async def test_the_blocks_own_exception_comes_first_and_the_others_are_logged(
    caplog: pytest.LogCaptureFixture, inner: bool
) -> None:
    async def fail_late(error: Exception) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    with pytest.raises(KeyError, match="own") as caught:
        async with open_plain_task_group() as outer, open_plain_task_group() as tasks:
            (tasks if inner else outer).start_soon(fail_late, ValueError("background"))
            await anyio.wait_all_tasks_blocked()
            raise KeyError("own")
    assert not isinstance(caught.value.__context__, BaseExceptionGroup)
    (record,) = caplog.records
    assert "in addition to what its block raised: background" in record.getMessage() and record.exc_info is not None


@pytest.mark.trio_only(reason="asyncio ends the loop itself when a task raises that")
async def test_what_ends_the_program_is_kept() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_plain_task_group() as tasks:
            tasks.start_soon(interrupted)
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("own")
    assert {type(error) for error in caught.value.exceptions} == {KeyError, KeyboardInterrupt}


async def test_a_group_of_groups_around_the_blocks_own_is_taken_off() -> None:
    border = Border()
    with pytest.raises(KeyError, match="own"), border.outside():
        async with anyio.create_task_group(), anyio.create_task_group():
            with border.inside():
                raise KeyError("own")


async def test_cancellation_passes() -> None:
    with anyio.CancelScope() as scope:
        async with open_plain_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            scope.cancel()
    assert scope.cancelled_caught
