"""Workflows whose workers, and whose starting program, are killed at random moments (kill -9)."""

from contextlib import AbstractAsyncContextManager

import anyio
import coredis
import pytest

from consumers.jobs import PREVIOUS, RunningFlow, group
from tests.consumers import loops
from tests.consumers.forked import ForkedProcess, forked
from tests.consumers.jobs.flow_checks import check_all
from tests.consumers.jobs.flow_program import program, queue, spec_of, start_all
from tests.consumers.jobs.processes import Fleet

pytestmark = pytest.mark.spread

Client = coredis.Redis[bytes]

FLOWS = 24
KILLS = 4
WIDE = 200


def starter(url: str) -> AbstractAsyncContextManager[ForkedProcess]:
    """A process that starts all workflows; killed at the end of the block."""
    return forked(loops.run, start_all, url, FLOWS)


async def wait_for(client: Client, number: int) -> None:
    while not await client.exists([queue.keys.flow(str(number))]):
        await anyio.sleep(0.002)


async def test_workflows_survive_killed_workers_and_a_killed_program(client: Client, server_url: str) -> None:
    with anyio.fail_after(90):
        async with queue.open(client), anyio.create_task_group() as tasks:
            fleet = Fleet(server_url, tasks, seed=4, target="tests.consumers.jobs.flow_program:queue")
            await fleet.start(2)
            async with starter(server_url):
                await wait_for(client, FLOWS // 3)
            # whatever it had begun is there as a whole, and starting it again adds nothing
            async with starter(server_url) as process:
                members = [program.work.call(f"wide:{n}") for n in range(WIDE)]
                wide = await group(members, callback=program.work.call("wide:end", PREVIOUS)).start()
                for _ in range(KILLS):
                    await fleet.kill_one()
                await process.wait()
            assert process.returncode == 0
            assert await wide.result(timeout=60) == 1 + WIDE
            flows = {RunningFlow(queue, str(number)): spec_of(number) for number in range(FLOWS)}
            await check_all(program, flows, exactly=False, others=WIDE + 1)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("number", range(3))
def test_specs_are_the_same_in_all_processes(number: int) -> None:
    assert spec_of(number) == spec_of(number)
