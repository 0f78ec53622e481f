"""Ends of nodes, recorded directly: each counts once, for the run that is queued, together with what follows."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import coredis
import pytest

from consumers.connection import Command
from consumers.jobs import PREVIOUS, FlowState, Queue, RunningFlow, chain, group
from consumers.jobs.flow_resuming import Chance, resume
from consumers.jobs.flow_state import Position
from consumers.jobs.flow_transitions import Ending, Settled, settle
from consumers.jobs.outcomes import cancelled, failure, success
from consumers.transactions import Ask
from tests.consumers.jobs.flow_model import Program, entries_added

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def program(client: Client) -> AsyncIterator[Program]:
    program = Program()
    async with program.queue.open(client):
        yield program


async def record(queue: Queue, *endings: Ending) -> Settled:
    async def decide(ask: Ask) -> tuple[Sequence[Command], Settled]:
        settled = await settle(ask, queue.keys, endings, queue.clock())
        return settled.commands, settled

    watched = [queue.keys.flow(ending.at.flow) for ending in endings]
    return await queue.connection.transactions.run(watched, decide)


def done(running: RunningFlow, node: int, value: Any, run: int = 0) -> Ending:
    counts: list[Command] = [(b"INCR", f"counted:{node}")]
    always: list[Command] = [(b"INCR", f"seen:{node}")]
    return Ending(Position(running.id, node, run), "work", success(value), counts, always)


def failed(running: RunningFlow, node: int, run: int = 0) -> Ending:
    return Ending(Position(running.id, node, run), "work", failure(ValueError("no")))


async def again(running: RunningFlow, node: int, run: int = 1) -> Chance:
    """A redriven job is about to run."""
    queue, position = running.queue, Position(running.id, node, run)
    watched = [queue.keys.flow(running.id)]
    return await queue.connection.transactions.run(watched, lambda ask: resume(ask, queue.keys, position))


async def states(running: RunningFlow) -> str:
    return "".join(node.state.value[0] for node in (await running.status()).nodes.values())


async def test_an_end_counts_once_and_starts_what_follows_once(client: Client, program: Program) -> None:
    queue = program.queue
    running = await chain(program.work.call("a"), program.work.call("b", PREVIOUS)).start()
    assert await entries_added(queue) == 1
    assert len((await record(queue, done(running, 0, 5))).counted) == 1
    assert (await record(queue, done(running, 0, 6))).counted == []
    assert await client.get("counted:0") == b"1" and await client.get("seen:0") == b"2"
    assert await entries_added(queue) == 2 and await states(running) == "dq"
    # both at once: the same
    first, second = done(running, 1, 7), done(running, 1, 8)
    assert (await record(queue, first, second)).counted == [first]
    assert await client.get("counted:1") == b"1" and await client.get("seen:1") == b"2"
    assert await running.result(timeout=30) == 7 and await running.results() == {"work": 5, "work-2": 7}


async def test_ends_of_several_nodes_and_workflows_at_once(client: Client, program: Program) -> None:
    queue, work = program.queue, program.work
    flows = [await group([work.call("a"), work.call("b")], callback=work.call("c", PREVIOUS)).start() for _ in range(3)]
    endings = [done(running, node, node + 10) for running in flows for node in range(2)]
    assert len((await record(queue, *endings)).counted) == 6
    assert [await states(running) for running in flows] == ["ddq"] * 3
    stream: Any = await client.xrange(queue.keys.streams["normal"])
    arguments = [entry.field_values[b"args"] for entry in stream[-3:]]
    assert all(b"inputs\x92\x0a\x0b" in one for one in arguments)


async def test_a_failure_and_an_end_at_once(program: Program) -> None:
    queue, work = program.queue, program.work
    flow = group([work.call("a"), chain(work.call("b"), work.call("c", PREVIOUS))], callback=work.call("d", PREVIOUS))
    running = await flow.start()
    await record(queue, failed(running, 0), done(running, 1, 1))
    assert await states(running) == "fdqs" and (await running.status()).state is FlowState.RUNNING
    await record(queue, done(running, 2, 1))
    assert (await running.status()).state is FlowState.FAILED


async def test_the_handler_of_the_whole_runs_once_until_all_failures_are_redriven(program: Program) -> None:
    queue, work = program.queue, program.work
    flow = group([work.call("a"), work.call("b")], on_failure=program.handle.call(PREVIOUS, "h"))
    running = await flow.start()
    await record(queue, failed(running, 0))
    assert await states(running) == "fqq" and await entries_added(queue) == 3
    await record(queue, done(running, 2, "told"))
    await record(queue, failed(running, 1))
    assert await states(running) == "ffd" and await entries_added(queue) == 3
    assert await again(running, 0) is Chance.RUN
    await record(queue, failed(running, 0, run=1))
    assert await states(running) == "ffd"
    assert [await again(running, 0, 2), await again(running, 1)] == [Chance.RUN] * 2
    await record(queue, failed(running, 1, run=1))
    assert await states(running) == "qfq" and await entries_added(queue) == 4
    await record(queue, done(running, 2, "told"), done(running, 0, 1, run=2))
    assert (await running.status()).state is FlowState.RUNNING
    await record(queue, done(running, 2, "told", run=1))
    assert (await running.status()).state is FlowState.FAILED


async def test_a_cancelled_node_is_no_failure(program: Program) -> None:
    queue, work = program.queue, program.work
    flow = chain(work.call("a"), work.call("b"), on_failure=program.handle.call(PREVIOUS, "h"))
    running = await flow.start()
    await record(queue, Ending(Position(running.id, 0, 0), "work", cancelled()))
    assert await states(running) == "css" and (await running.status()).state is FlowState.CANCELLED


async def test_an_end_of_another_run_does_not_count(program: Program) -> None:
    queue, work = program.queue, program.work
    running = await chain(work.call("a"), work.call("b")).start()
    assert (await record(queue, done(running, 0, 1, run=1))).counted == []
    await record(queue, failed(running, 0))
    assert await states(running) == "fs"
    # what is left of the first run ends late
    assert (await record(queue, done(running, 0, 1))).counted == []
    assert await again(running, 0, 2) is Chance.PASSED and await states(running) == "fs"
    assert await again(running, 0) is Chance.RUN and await states(running) == "qw"
    assert await again(running, 0) is Chance.RUN and await states(running) == "qw"
    assert (await running.status()).state is FlowState.RUNNING
    assert (await record(queue, done(running, 0, 1))).counted == []
    await record(queue, done(running, 0, 1, run=1))
    assert await states(running) == "dq" and await again(running, 0) is Chance.PASSED


async def test_what_another_failure_blocks_stays_skipped(program: Program) -> None:
    queue, work = program.queue, program.work
    flow = group([work.call("a"), work.call("b")], callback=work.call("c"))
    running = await chain(flow, work.call("d")).start()
    await record(queue, failed(running, 0), failed(running, 1))
    assert await states(running) == "ffss"
    await again(running, 0)
    assert await states(running) == "qfss"
    await record(queue, done(running, 0, 1, run=1))
    assert await states(running) == "dfss" and (await running.status()).state is FlowState.FAILED
    await again(running, 1)
    assert await states(running) == "dqww"
    await record(queue, done(running, 1, 1, run=1))
    assert await states(running) == "ddqw"
    await record(queue, done(running, 2, 1))
    await record(queue, done(running, 3, 9))
    assert await running.result(timeout=30) == 9


async def test_a_job_whose_workflow_is_gone_is_like_any_other(client: Client, program: Program) -> None:
    running = await chain(program.work.call("a"), program.work.call("b")).start()
    await client.delete([program.queue.keys.flow(running.id)])
    assert (await record(program.queue, done(running, 0, 1))).counted == []
    assert await client.get("counted:0") == b"1" and await client.get("seen:0") == b"1"


async def test_an_end_is_nothing_without_its_transaction(client: Client, program: Program) -> None:
    queue = program.queue
    running = await chain(program.work.call("a"), program.work.call("b")).start()
    decided = 0

    async def decide(ask: Ask) -> tuple[Sequence[Command], Settled]:
        nonlocal decided
        decided += 1
        settled = await settle(ask, queue.keys, [done(running, 0, 1)], queue.clock())
        if decided == 1:
            # a rival records the same end
            await client.incr("rivals")
            async with Queue("flows").open(client) as rival:
                await record(rival, done(running, 0, 2))
        return settled.commands, settled

    settled = await queue.connection.transactions.run([queue.keys.flow(running.id)], decide)
    assert settled.counted == [] and decided == 2
    assert await entries_added(queue) == 2 and await running.results() == {"work": 2}


async def test_rounds_that_see_two_states_decide_nothing(program: Program) -> None:
    queue = program.queue
    running = await chain(program.work.call("a"), program.work.call("b")).start()
    tries = 0

    async def decide(ask: Ask) -> tuple[Sequence[Command], Settled]:
        nonlocal tries
        tries += 1
        rounds = 0

        async def interrupted(questions: Sequence[Command]) -> list[Any]:
            nonlocal rounds
            rounds += 1
            if rounds == 2 and tries == 1:
                async with Queue("flows").open(queue.connection.client) as rival:
                    await record(rival, failed(running, 0))
            return await ask(questions)

        settled = await settle(interrupted, queue.keys, [done(running, 0, 1)], queue.clock())
        return settled.commands, settled

    settled = await queue.connection.transactions.run([queue.keys.flow(running.id)], decide)
    assert settled.counted == [] and tries == 2 and await states(running) == "fs"


async def test_keep_result_of_zero_keeps_nothing(client: Client) -> None:
    async with Queue("none", keep_result=0).open(client) as queue:

        @queue.job()
        async def work() -> None: ...

        running = await chain(work.call()).start()
        await record(queue, done(running, 0, None))
        assert not await client.exists([queue.keys.flow(running.id)])
        assert not await client.exists([queue.keys.result(running.id)])
