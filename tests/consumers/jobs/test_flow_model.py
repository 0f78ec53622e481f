"""Random workflows end as a model in plain Python says: undisturbed, over bad networks, and when workers are killed.

Each node's job runs at least once, and exactly once where nothing disturbs it. Each is *started* exactly once in any
case: the streams' counts of added entries show it, because a job that runs again after a crash is the same entry.
"""

import random

import coredis
import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumers.jobs import Worker
from tests.consumers.jobs.flow_checks import check_all
from tests.consumers.jobs.flow_model import NodeSpec, Program, Spec, random_spec
from tests.consumers.jobs.working import keys
from tests.consumers.network import network, trouble
from tests.consumers.servers import in_process_broker

Client = coredis.Redis[bytes]


async def left_over(program: Program, client: Client) -> set[str]:
    """What the server keeps of jobs, but for dead ones."""
    left = {stream for stream in program.queue.keys.in_order if await client.xlen(stream)}
    # the report of a worker that could not say goodbye stays for a while
    kept = ("flow:", "dead", "workers")
    return left | {key for key in await keys(client, program.queue) if not key.startswith(kept)}


nodes = st.lists(
    st.tuples(st.sets(st.integers(1, 6), max_size=4), st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=9
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    made: list[NodeSpec] = []
    for place, (back, fails, handler) in enumerate(draw(nodes)):
        after = tuple(sorted(place - one for one in back if one <= place))
        made.append(NodeSpec(after, fails == 0, handler == 0))
    return Spec(tuple(made), draw(st.booleans()))


@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(st.lists(specs(), min_size=1, max_size=3))
def test_random_workflows_are_as_the_model(drawn: list[Spec]) -> None:
    async def run() -> None:
        program = Program()
        async with (
            in_process_broker() as url,
            coredis.Redis.from_url(url) as client,
            program.queue.open(client),
        ):
            async with Worker(program.queue).open():
                flows = {await program.start(spec, str(place)): spec for place, spec in enumerate(drawn)}
                with trio.fail_after(30):
                    await check_all(program, flows, exactly=True)
            assert not await left_over(program, client)

    trio.run(run)


@pytest.mark.spread
@pytest.mark.parametrize("kind", ["cut", "replies lost"])
async def test_workflows_over_a_bad_network(client: Client, server_url: str, kind: str) -> None:
    here = Program()
    there = Program(here.ledger)
    source = random.Random(7)
    drawn = [random_spec(source) for _ in range(12)]
    with trio.fail_after(60):
        async with (
            here.queue.open(client),
            network(server_url) as between,
            coredis.Redis.from_url(between.url) as far,
            there.queue.open(far),
            trio.open_nursery() as nursery,
        ):
            for _ in range(2):
                await nursery.start(Worker(there.queue, concurrency=4, lease=0.6).run)
            flows = {await here.start(spec, str(place)): spec for place, spec in enumerate(drawn)}
            nursery.start_soon(trouble, between, kind)
            await check_all(here, flows, exactly=False)
            nursery.cancel_scope.cancel()
        async with here.queue.open(client), Worker(here.queue, lease=0.6).open() as worker:
            # what was left by the end of the others
            while await left_over(here, client) or worker.in_hand:
                await trio.sleep(0.01)
        assert not await left_over(here, client)
