"""Chains, groups and graphs of jobs, against each server: what they pass on, how they end, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import coredis
import pytest

from consumers.deadletters import redrive
from consumers.jobs import (
    PREVIOUS,
    Flow,
    FlowState,
    JobCancelled,
    JobFailed,
    JobSkipped,
    NodeFailure,
    NodeState,
    NoResult,
    Queue,
    Reject,
    RunningFlow,
    Worker,
    chain,
    group,
)
from tests.consumers.jobs.flow_model import Program
from tests.consumers.jobs.working import SOON, dead, keys, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


class Jobs:
    """A queue with jobs that compute, and jobs that fail."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.failures: list[NodeFailure] = []
        self.ran: list[Any] = []
        self.broken = True

        @queue.job()
        async def add(n: int, by: int = 1) -> int:
            self.ran.append(n)
            return n + by

        @queue.job()
        async def total(numbers: list[int], plus: int = 0) -> int:
            return sum(numbers) + plus

        @queue.job(retries=1, backoff=SOON)
        async def fragile(n: int = 0) -> int:
            if self.broken:
                raise ValueError("broken")
            return n

        @queue.job()
        async def report(failure: NodeFailure) -> str:
            self.failures.append(failure)
            return failure.node

        self.add, self.total, self.fragile, self.report = add, total, fragile, report


@pytest.fixture
async def jobs(client: Client) -> AsyncIterator[Jobs]:
    async with Queue("q").open(client) as queue:
        yield Jobs(queue)


async def states(running: RunningFlow) -> dict[str, str]:
    return {name: node.state.value for name, node in (await running.status()).nodes.items()}


async def test_a_chain_passes_each_result_to_the_next(client: Client, jobs: Jobs) -> None:
    add = jobs.add
    async with Worker(jobs.queue).open() as worker:
        flow = chain(add.call(1), add.call(), add.call(PREVIOUS, by=10), add.call(100), add.call(by=PREVIOUS, n=1))  # type: ignore[call-arg]
        running = await flow.start()
        assert await running.result(timeout=30) == 102
        assert jobs.ran == [1, 2, 3, 100, 1]
        assert await running.results() == {"add": 2, "add-2": 3, "add-3": 13, "add-4": 101, "add-5": 102}
        status = await running.status()
        assert status.state is FlowState.DONE and status.count(NodeState.DONE) == 5
        assert status.ended is not None and status.created <= status.ended
        assert await (await running.job("add-3")).result(timeout=30) == 13
        with pytest.raises(KeyError):
            await running.job("add-6")
        await until(lambda: worker.in_hand == 0)
        assert worker.statistics.redelivered == 0
    assert await keys(client, jobs.queue) == {f"flow:{running.id}"}
    # it is kept as long as results are
    assert 0 < await client.ttl(jobs.queue.keys.flow(running.id)) <= 600
    assert await client.xlen(jobs.queue.keys.streams["normal"]) == 0


async def test_a_group_with_a_callback(jobs: Jobs) -> None:
    async with Worker(jobs.queue).open():
        running = await group((jobs.add.call(n) for n in range(50)), callback=jobs.total.call(PREVIOUS, plus=5)).start()
        assert await running.result(timeout=30) == sum(range(1, 51)) + 5
        alone = await group([jobs.add.call(1)], callback=jobs.total.call()).start()  # type: ignore[call-arg]
        assert await alone.result(timeout=30) == 2
        assert await (await group([jobs.add.call(1)]).start()).result(timeout=30) == [2]
        assert await (await group([jobs.add.call(1), jobs.add.call(5)]).start()).result(timeout=30) == [2, 6]


async def test_chains_and_groups_within_each_other(jobs: Jobs) -> None:
    add, total = jobs.add, jobs.total
    async with Worker(jobs.queue).open():
        spread = group([add.call(PREVIOUS, by=10), chain(add.call(PREVIOUS, by=20), add.call(PREVIOUS)), add.call(0)])
        running = await chain(add.call(0), spread, total.call(PREVIOUS), add.call(PREVIOUS)).start()
        assert await running.result(timeout=30) == 1 + (11 + 22 + 1)
        # the same workflow may be a part of several
        open_end = await chain(add.call(1), spread).start()
        assert await open_end.result(timeout=30) == [12, 23, 1]
        nested = await group([group([add.call(1), add.call(2)]), chain(add.call(3), spread)]).start()
        assert await nested.result(timeout=30) == [2, 3, 14, 25, 1]
        listed = await chain(group([add.call(1)]), total.call(PREVIOUS)).start()
        assert await listed.result(timeout=30) == 2


async def test_a_graph_passes_results_by_name_and_waits_for_all(jobs: Jobs) -> None:
    flow = Flow(jobs.queue)
    left, right = flow.add(jobs.add.call(1), name="left"), flow.add(jobs.add.call(5), name="right")
    both = flow.add(jobs.add.call(left.result, by=right.result), name="both")
    last = flow.add(jobs.total.call([1, 2]), after=[both, left], name="last")
    flow.add(jobs.total.call(PREVIOUS), after=[both, right, last], name="sum")
    async with Worker(jobs.queue).open():
        running = await flow.start()
        assert await running.result(timeout=30) == 8 + 6 + 3
        assert await running.results() == {"left": 2, "right": 6, "both": 8, "last": 3, "sum": 17}
        assert jobs.ran[-1] == 2
        # two ends: a list of results
        fork = Flow(jobs.queue)
        first = fork.add(jobs.add.call(0))
        fork.add(jobs.add.call(first.result))
        fork.add(jobs.add.call(first.result, by=5))
        assert await (await fork.start()).result(timeout=30) == [2, 6]


async def test_a_failure_skips_what_depends_on_it_and_a_redrive_goes_on(client: Client, jobs: Jobs) -> None:
    flow = Flow(jobs.queue, on_failure=jobs.report.call(PREVIOUS))
    first = flow.add(jobs.add.call(1), name="first")
    bad = flow.add(jobs.fragile.call(first.result), name="bad", on_failure=jobs.report.call())  # type: ignore[call-arg]
    other = flow.add(jobs.add.call(first.result), name="other")
    flow.add(jobs.total.call(PREVIOUS), after=[bad, other], name="end", on_failure=jobs.report.call(PREVIOUS))
    async with Worker(jobs.queue).open():
        running = await flow.start()
        with pytest.raises(JobFailed, match="bad: ValueError: broken") as failed:
            await running.result(timeout=30)
        assert (
            failed.value.node == "bad" and failed.value.attempts == 2 and "raise ValueError" in failed.value.traceback
        )
        assert await states(running) == {
            "first": "done", "bad": "failed", "other": "done", "end": "skipped", "report": "done", "report-2": "done",
            "report-3": "skipped",
        }  # fmt: skip
        job = await running.job("bad")
        assert jobs.failures == [NodeFailure("bad", "fragile", job.id, "ValueError", "broken", 2)] * 2
        assert (await running.status()).state is FlowState.FAILED
        with pytest.raises(JobSkipped):
            await (await running.job("end")).result(timeout=30)
        # longer than results: it can be resumed
        assert await client.ttl(jobs.queue.keys.flow(running.id)) > 86400
        # it fails again
        assert await jobs.queue.redrive() == 1
        with pytest.raises(JobFailed):
            await running.result(timeout=30)
        assert len(jobs.failures) == 4 and (await running.status()).nodes["bad"].run == 1
        jobs.broken = False
        assert await jobs.queue.redrive() == 1
        assert await running.result(timeout=30) == 2 + 3
        assert await states(running) == {
            "first": "done", "bad": "done", "other": "done", "end": "done", "report": "done", "report-2": "done",
            "report-3": "skipped",
        }  # fmt: skip
        status = await running.status()
        assert status.state is FlowState.DONE and status.nodes["bad"].run == 2 and len(jobs.failures) == 4
    assert await client.ttl(jobs.queue.keys.flow(running.id)) <= 600
    assert await dead(jobs.queue) == []


async def test_a_job_that_another_program_redrives_resumes_its_workflow_when_it_runs(
    client: Client, jobs: Jobs
) -> None:
    async with Worker(jobs.queue).open():
        running = await chain(jobs.fragile.call(1), jobs.add.call(PREVIOUS)).start()
        with pytest.raises(JobFailed):
            await running.result(timeout=30)
        jobs.broken = False
        # the general command knows nothing of workflows
        assert await redrive(client, jobs.queue.keys.dead) == 1
        with anyio.fail_after(60):
            while (await running.status()).state is not FlowState.DONE:
                await anyio.sleep(0.01)
        assert await running.result(timeout=30) == 2


async def test_a_job_redriven_twice_counts_once(client: Client, jobs: Jobs) -> None:
    async with Worker(jobs.queue).open() as worker:
        running = await chain(jobs.fragile.call(1), jobs.add.call(PREVIOUS)).start()
        with pytest.raises(JobFailed):
            await running.result(timeout=30)
        jobs.broken = False
        (letter,) = await client.xrange(jobs.queue.keys.dead)
        await client.xadd(jobs.queue.keys.dead, letter.field_values)
        assert await jobs.queue.redrive() == 2
        assert await running.result(timeout=30) == 2
        await until(lambda: worker.in_hand == 0)
        await client.xadd(jobs.queue.keys.dead, letter.field_values)
        assert await jobs.queue.redrive() == 1
        await anyio.sleep(0.1)
        await until(lambda: worker.in_hand == 0)
    assert jobs.ran == [1] and await dead(jobs.queue) == []
    assert (await running.status()).state is FlowState.DONE


async def test_a_dead_job_whose_workflow_is_gone_stays_dead(client: Client, jobs: Jobs) -> None:
    async with Worker(jobs.queue).open():
        running = await chain(jobs.fragile.call(1), jobs.add.call(PREVIOUS)).start()
        with pytest.raises(JobFailed):
            await running.result(timeout=30)
        await client.delete([jobs.queue.keys.flow(running.id)])
        jobs.broken = False
        await jobs.queue.redrive()
        with anyio.fail_after(60):
            while not (letters := await dead(jobs.queue)):
                await anyio.sleep(0.01)
        assert letters[0].reason == "its workflow is not kept any more" and jobs.ran == []
        with pytest.raises(NoResult):
            await running.status()


async def test_cancelling_the_whole(client: Client, jobs: Jobs) -> None:
    @jobs.queue.job()
    async def nap(n: int) -> int:
        await anyio.sleep(60)
        return n

    async with Worker(jobs.queue).open():
        flow = Flow(jobs.queue, on_failure=jobs.report.call(PREVIOUS))
        done, running_one = flow.add(jobs.add.call(1), name="done"), flow.add(nap.call(1), name="running")
        delayed = flow.add(jobs.add.call(2, delay=60), name="delayed", on_failure=jobs.report.call(PREVIOUS))
        flow.add(jobs.total.call(PREVIOUS), after=[done, running_one, delayed], name="end")
        running = await flow.start()
        await (await running.job("done")).result(timeout=30)
        waiting = await running.job("end")
        assert await running.cancel()
        with pytest.raises(JobCancelled):
            await running.result(timeout=30)
        with pytest.raises(JobCancelled):
            await waiting.result(timeout=30)
        assert await states(running) == {
            "done": "done", "running": "cancelled", "delayed": "cancelled", "end": "cancelled", "report": "cancelled",
            "report-2": "cancelled",
        }  # fmt: skip
        assert (await running.status()).state is FlowState.CANCELLED
        assert not await running.cancel()
        assert jobs.failures == [] and jobs.ran == [1]
    left = await keys(client, jobs.queue)
    assert left == {f"flow:{running.id}"}


async def test_cancelling_one_job_skips_what_depends_on_it(client: Client, jobs: Jobs) -> None:
    async with Worker(jobs.queue).open():
        flow = Flow(jobs.queue, on_failure=jobs.report.call(PREVIOUS))
        late = flow.add(jobs.add.call(1, delay=60), name="late", on_failure=jobs.report.call(PREVIOUS))
        flow.add(jobs.add.call(late.result), name="after")
        flow.add(jobs.add.call(7), name="other")
        running = await flow.start()
        assert await (await running.job("late")).cancel()
        with pytest.raises(JobCancelled):
            await running.result(timeout=30)
        assert await states(running) == {
            "late": "cancelled", "after": "skipped", "other": "done", "report": "skipped", "report-2": "skipped",
        }  # fmt: skip
    assert await keys(client, jobs.queue) == {f"flow:{running.id}"}


async def test_deleted_jobs_count_as_cancelled(jobs: Jobs) -> None:
    flow = Flow(jobs.queue)
    waiting, late = flow.add(jobs.add.call(1), name="waiting"), flow.add(jobs.add.call(1, delay=60), name="late")
    flow.add(jobs.total.call([]), after=[waiting], name="a")
    flow.add(jobs.total.call([]), after=[late], name="b")
    running = await flow.start()
    assert await (await running.job("waiting")).delete()
    assert await states(running) == {"waiting": "cancelled", "late": "queued", "a": "skipped", "b": "waiting"}
    assert await (await running.job("late")).delete()
    assert await states(running) == {"waiting": "cancelled", "late": "cancelled", "a": "skipped", "b": "skipped"}
    assert (await running.status()).state is FlowState.CANCELLED


async def test_purged_jobs_count_as_cancelled(jobs: Jobs) -> None:
    flow = chain(group([jobs.add.call(1), jobs.add.call(1, delay=60)]), jobs.total.call(PREVIOUS))
    running = await flow.start()
    assert await jobs.queue.purge("delayed") == 1
    assert await states(running) == {"add": "queued", "add-2": "cancelled", "total": "skipped"}
    assert await jobs.queue.purge("waiting") == 1
    assert await states(running) == {"add": "cancelled", "add-2": "cancelled", "total": "skipped"}
    assert (await running.status()).state is FlowState.CANCELLED


async def test_starting_the_same_id_again_adds_nothing(client: Client, jobs: Jobs) -> None:
    flow = chain(jobs.add.call(1), jobs.add.call(PREVIOUS), id="order-17")
    running = await flow.start()
    again = await chain(jobs.add.call(1), id="order-17").start()
    assert running.created and not again.created and running.id == again.id == "order-17"
    assert not (await flow.start()).created
    assert await client.xlen(jobs.queue.keys.streams["normal"]) == 1
    async with Worker(jobs.queue).open():
        assert await RunningFlow(jobs.queue, "order-17").result(timeout=30) == 3
    assert jobs.ran == [1, 2]


async def test_results_arrive_as_their_types_and_elsewhere_as_plain_data(client: Client, jobs: Jobs) -> None:
    @jobs.queue.job()
    async def parts(text: str) -> set[str]:
        return set(text)

    @jobs.queue.job()
    async def size(some: frozenset[str]) -> int:
        assert isinstance(some, frozenset)
        return len(some)

    async with Worker(jobs.queue).open(), Queue("q").open(client) as other:
        running = await chain(parts.call("abca"), size.call(PREVIOUS)).start()
        assert await running.result(timeout=30) == 3
        assert await running.results() == {"parts": {"a", "b", "c"}, "size": 3}
        elsewhere = RunningFlow(other, running.id)
        assert await elsewhere.result(timeout=30) == 3
        assert sorted((await elsewhere.results())["parts"]) == ["a", "b", "c"]


async def test_nodes_are_jobs_like_any_others(client: Client, jobs: Jobs) -> None:
    tries: list[int] = []
    at_once = most = 0

    @jobs.queue.job(retries=3, backoff=SOON, limit=2, limit_by="kind", keep_result=0, priority="high")
    async def limited(n: int, kind: str) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.sleep(0.02)
        at_once -= 1
        tries.append(n)
        if tries.count(n) == 1:
            raise ValueError("once")
        return n

    async with Worker(jobs.queue).open():
        members = [limited.call(n, "a") for n in range(8)]
        # their own results are not kept, but passed on
        running = await group(members, callback=jobs.total.call(PREVIOUS)).start()
        assert await running.result(timeout=30) == sum(range(8))
        assert most == 2 and sorted(tries) == sorted([*range(8)] * 2)
        begun = anyio.current_time()
        delayed = await chain(jobs.add.call(1), jobs.add.call(PREVIOUS, delay=0.3)).start()
        assert await delayed.result(timeout=30) == 3
        assert anyio.current_time() - begun >= 0.3
    assert {key for key in await keys(client, jobs.queue) if not key.startswith("flow:")} <= {"limits"}


async def test_a_unique_node_waits_until_its_place_is_free(jobs: Jobs) -> None:
    order: list[str] = []
    release = anyio.Event()

    @jobs.queue.job(unique="path")
    async def index(path: str, who: str) -> None:
        order.append(f"{who} begins")
        if who == "plain":
            await release.wait()
        order.append(f"{who} ends")

    async with Worker(jobs.queue).open():
        plain = await index.enqueue("a", "plain")
        await until(lambda: order == ["plain begins"])
        running = await chain(jobs.add.call(1), index.call("a", "node")).start()
        await until(lambda: jobs.ran == [1])
        await anyio.sleep(0.2)
        assert order == ["plain begins"]
        release.set()
        assert await running.result(timeout=30) is None
        assert await plain.result(timeout=30) is None
        assert order == ["plain begins", "plain ends", "node begins", "node ends"]
        # while the node has the place, nothing is added
        late = await chain(index.call("b", "node", delay=0.3)).start()
        assert not (await index.enqueue("b", "plain")).created
        await late.result(timeout=30)


async def test_results_that_are_too_large_fail_their_node(
    client: Client, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jobs.queue.job()
    async def fill(size: int) -> bytes:
        return bytes(size)

    monkeypatch.setattr("consumers.jobs.flow_transitions.MAX_RESULTS", 5000)
    async with Worker(jobs.queue).open() as worker:
        running = await chain(fill.call(2**20), jobs.add.call(1)).start()
        with pytest.raises(JobFailed, match=r"its result has .* bytes"):
            await running.result(timeout=30)
        running = await chain(fill.call(3000), fill.call(1000), fill.call(1000), jobs.add.call(1)).start()
        with pytest.raises(JobFailed, match="the results of its workflow would be larger"):
            await running.result(timeout=30)
        assert await states(running) == {"fill": "done", "fill-2": "done", "fill-3": "failed", "add": "skipped"}
        await until(lambda: worker.in_hand == 0)
    assert len(await dead(jobs.queue)) == 2


@pytest.mark.spread
async def test_a_wide_workflow(jobs: Jobs) -> None:
    async with Worker(jobs.queue, concurrency=100, prefetch=400).open():
        fan = group([jobs.add.call(PREVIOUS, by=n) for n in range(2000)], callback=jobs.total.call(PREVIOUS))
        running = await chain(jobs.add.call(0), fan).start()
        assert await running.result(timeout=30) == sum(1 + n for n in range(2000))
        assert (await running.status()).count(NodeState.DONE) == 2002


async def test_what_is_refused(jobs: Jobs) -> None:
    add, other = jobs.add, Queue("other")

    @other.job()
    async def foreign() -> None: ...

    with pytest.raises(ValueError, match="at least one part"):
        chain()
    with pytest.raises(ValueError, match="at least one part"):
        group([])
    with pytest.raises(ValueError, match="at least one node"):
        await Flow(jobs.queue).start()
    with pytest.raises(ValueError, match="another queue"):
        chain(add.call(1), foreign.call())
    with pytest.raises(ValueError, match="another queue"):
        chain(add.call(1), chain(foreign.call()))
    with pytest.raises(TypeError, match="a part of a workflow is Call or Flow"):
        chain(add.call(1), 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nothing comes before it"):
        await chain(add.call(PREVIOUS)).start()
    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        Flow(jobs.queue).add(add.call())  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        await jobs.queue.enqueue_many([add.call()])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="which only a workflow can pass"):
        await jobs.queue.enqueue_many([add.call(PREVIOUS)])
    with pytest.raises(TypeError, match="not data"):
        await add.enqueue(PREVIOUS)
    with pytest.raises(TypeError, match="can't be unique by n, which is not known yet"):
        add.call(PREVIOUS, unique="n")
    with pytest.raises(ValueError, match="on_failure is for"):
        chain(chain(add.call(1), on_failure=jobs.report.call(PREVIOUS)))
    with pytest.raises(TypeError, match="on_failure passes a failure"):
        Flow(jobs.queue, on_failure=add.call(PREVIOUS, by=Flow(jobs.queue).add(add.call(1)).result))
    with pytest.raises(ValueError, match="no spaces and no slashes"):
        Flow(jobs.queue, id="a/b")
    flow = Flow(jobs.queue)
    node = flow.add(add.call(1), name="one")
    with pytest.raises(ValueError, match="has a node 'one' already"):
        flow.add(add.call(1), name="one")
    with pytest.raises(ValueError, match="belongs to another workflow"):
        Flow(jobs.queue).add(add.call(node.result))
    with pytest.raises(NoResult):
        await RunningFlow(jobs.queue, "nothing").status()
    with pytest.raises(NoResult):
        await RunningFlow(jobs.queue, "nothing").result(timeout=30)
    assert not await RunningFlow(jobs.queue, "nothing").cancel()


def test_a_workflow_has_at_most_ten_thousand_nodes() -> None:
    program = Program()
    flow = Flow(program.queue, on_failure=program.handle.call(PREVIOUS, "x"))
    for n in range(9997):
        flow.add(program.work.call(str(n)))
    with pytest.raises(ValueError, match="at most 10000 nodes"):
        for _ in range(2):
            flow.add(program.work.call("last"), on_failure=program.handle.call(PREVIOUS, "x"))


async def test_a_rejected_node_is_dead_at_once(jobs: Jobs) -> None:
    @jobs.queue.job(retries=5)
    async def hopeless() -> None:
        raise Reject("no such thing")

    async with Worker(jobs.queue).open():
        running = await chain(hopeless.call(), jobs.add.call(1)).start()
        with pytest.raises(JobFailed, match="hopeless: Reject: no such thing"):
            await running.result(timeout=30)
