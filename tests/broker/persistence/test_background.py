"""Children: what they did, why they failed, and that they are gone afterwards."""

import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from broker.persistence.background import Background, Outcome, Progress, Work, fork


@pytest.fixture
async def background(nursery: trio.Nursery) -> AsyncIterator[Background]:
    running = Background(fork, lambda: None)
    nursery.start_soon(running.run)
    yield running
    nursery.cancel_scope.cancel()


async def outcome_of(background: Background, work: Work) -> Outcome:
    done = trio.Event()
    outcomes: list[Outcome] = []

    async def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        done.set()

    background.start("test", work, note)
    assert background.active and background.has_child
    with trio.fail_after(30):
        await done.wait()
    return outcomes[0]


async def test_when_one_has_ended_that_is_told_with_the_place_free(nursery: trio.Nursery) -> None:
    told = trio.Event()
    background = Background(fork, lambda: None if background.active else told.set())
    nursery.start_soon(background.run)
    await outcome_of(background, lambda progress: None)
    with trio.fail_after(30):
        await told.wait()
    nursery.cancel_scope.cancel()


async def test_the_child_has_the_values_of_the_moment(background: Background, tmp_path: Path) -> None:
    value = ["then"]

    def work(progress: Progress) -> None:
        (tmp_path / "file").write_text(value[0])

    outcome = outcome_of(background, work)
    value.append("now")
    assert not (await outcome).problem
    assert (tmp_path / "file").read_text() == "then"


async def test_children_are_counted(background: Background) -> None:
    assert background.forks == 0
    for number in (1, 2):
        await outcome_of(background, lambda progress: None)
        assert background.forks == number


def test_where_there_can_be_no_child_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError

    def free() -> list[int]:
        """The next two descriptors."""
        found = [os.dup(0), os.dup(0)]
        for descriptor in found:
            os.close(descriptor)
        return found

    monkeypatch.setattr(os, "fork", refuse)
    before = free()
    with pytest.raises(OSError):
        fork(lambda progress: None)
    assert free() == before


async def test_why_the_child_failed_is_told_without_keys(background: Background) -> None:
    """Only what the system says is passed on: any other exception may quote what it was about."""

    def refused(progress: Progress) -> None:
        raise OSError("no space left")

    def defective(progress: Progress) -> None:
        raise KeyError("a key of somebody's")

    assert (await outcome_of(background, refused)).problem == "no space left"
    assert re.fullmatch(r"KeyError at test_background.py:\d+", (await outcome_of(background, defective)).problem)


async def test_what_the_child_has_copied_is_known(background: Background) -> None:
    outcome = await outcome_of(background, lambda progress: None)
    assert outcome.problem == ""
    assert outcome.copied > 0 or not os.path.exists("/proc/self/smaps_rollup")


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="the system does not say")
async def test_copies_are_measured_while_it_runs(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.persistence.background.MEASURE_SECONDS", 0.0)

    def work(progress: Progress) -> None:
        progress(1)
        os.kill(os.getpid(), signal.SIGKILL)  # before it reports the outcome

    assert (await outcome_of(background, work)).copied > 0
    assert background.copied_peak > 0
    assert (background.copied, background.copied_age()) == (0, 0)


async def test_a_failure_has_the_exceptions_text(background: Background) -> None:
    def work(progress: Progress) -> None:
        raise OSError(28, "No space left\non device")

    assert (await outcome_of(background, work)).problem == "[Errno 28] No space left on device"


async def test_a_child_that_dies_is_a_failure(background: Background) -> None:
    outcome = await outcome_of(background, lambda progress: os.kill(os.getpid(), signal.SIGSEGV))
    assert outcome.problem == f"child terminated by signal {int(signal.SIGSEGV)}"


async def test_a_child_can_be_killed(background: Background) -> None:

    def work(progress: Progress) -> None:
        signal.pause()

    done: list[Outcome] = []
    ended = trio.Event()

    async def note(outcome: Outcome) -> None:
        done.append(outcome)
        ended.set()

    background.start("test", work, note)
    background.kill()
    with trio.fail_after(30):
        await ended.wait()
    assert done[0].problem == "child terminated by signal 9"


async def test_progress_is_told(background: Background) -> None:
    def work(progress: Progress) -> None:
        progress(1000)
        progress(2000)

    assert not (await outcome_of(background, work)).problem
    assert background.keys == 2000


async def test_the_place_is_free_again(background: Background) -> None:
    for _ in range(3):
        await outcome_of(background, lambda progress: None)
        await trio.testing.wait_all_tasks_blocked()
        assert not background.active
    background.reserve("other")
    assert background.active and not background.has_child
    background.release()
    assert not background.active


async def test_a_child_has_none_of_the_parents_descriptors(background: Background, tmp_path: Path) -> None:
    receiving, sending = os.pipe()

    def work(progress: Progress) -> None:
        for descriptor in (receiving, sending):
            with pytest.raises(OSError):
                os.fstat(descriptor)

    assert (await outcome_of(background, work)).problem == ""
    os.close(receiving)
    os.close(sending)


async def test_cancelling_ends_the_child() -> None:
    child = fork(lambda progress: signal.pause())
    with trio.move_on_after(0):
        await child.wait(lambda keys: None)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)  # type: ignore[attr-defined]
