"""Waiting for results, of a server that refuses to answer for a while."""

from collections.abc import Sequence
from typing import Any

import anyio
import coredis
import pytest
from anyio.lowlevel import checkpoint
from coredis.exceptions import ResponseError
from trio.testing import MockClock

from consumers.jobs.names import Keys
from consumers.jobs.results import Results


class Link:
    """A server that answers each round of GETs with the next of these errors, and then with a result."""

    def __init__(self, *refusals: str) -> None:
        self.rounds = 0
        self._refusals = list(refusals)

    async def execute(self, commands: Sequence[Any]) -> list[Any]:
        await checkpoint()
        self.rounds += 1
        if self._refusals:
            return [ResponseError(self._refusals.pop(0))] * len(commands)
        return [b"stored"] * len(commands)


def results(link: Any) -> Results:
    nobody: Any = coredis.Redis(port=1)
    return Results(nobody, link, Keys("q", ("normal",)), "token")


async def test_a_refusal_that_passes_is_waited_out(autojump_clock: MockClock) -> None:
    link = Link("MASTERDOWN Link with MASTER is down", "LOADING the dataset")
    subject = results(link)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        with anyio.fail_after(60):
            assert await subject.wait("id", known=True) == b"stored"
        tasks.cancel_scope.cancel()
    assert link.rounds >= 3


async def test_a_refusal_for_good_is_raised(autojump_clock: MockClock) -> None:
    subject = results(Link("NOPERM no permission"))

    async def wait() -> None:
        await subject.wait("id", known=True)

    with pytest.RaisesGroup(pytest.RaisesExc(ResponseError, match="NOPERM")):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await subject.run()
