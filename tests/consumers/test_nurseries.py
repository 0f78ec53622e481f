"""A nursery without a group around one exception."""

import pytest
import trio

from consumers.nurseries import open_plain_nursery


async def _fail(error: Exception) -> None:
    raise error


async def test_one_exception_is_raised_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with open_plain_nursery() as nursery:
            nursery.start_soon(_fail, KeyError("x"))
    cause = ValueError("cause")
    with pytest.raises(KeyError) as caught:
        async with open_plain_nursery():
            raise KeyError("x") from cause
    assert caught.value.__cause__ is cause and not isinstance(caught.value.__context__, BaseExceptionGroup)


async def test_a_users_own_group_is_left_alone() -> None:
    with pytest.raises(ExceptionGroup, match="mine"):
        async with open_plain_nursery():
            raise ExceptionGroup("mine", [KeyError("x")])


async def test_several_exceptions_make_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(_fail, KeyError("x"))
            nursery.start_soon(_fail, ValueError("y"))
    assert {type(error) for error in caught.value.exceptions} == {KeyError, ValueError}


async def test_cancellation_passes() -> None:
    with trio.CancelScope() as scope:
        async with open_plain_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
    assert scope.cancelled_caught
