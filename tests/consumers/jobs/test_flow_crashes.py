"""Workflows whose workers, and whose starting program, are killed at random moments (kill -9)."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import coredis
import pytest
from anyio.abc import Process

from consumers.jobs import PREVIOUS, RunningFlow, group
from tests.consumers.jobs.flow_checks import check_all
from tests.consumers.jobs.flow_program import program, queue, spec_of
from tests.consumers.jobs.processes import ROOT, Fleet

Client = coredis.Redis[bytes]

FLOWS = 24
KILLS = 4
WIDE = 200


@asynccontextmanager
async def starter(url: str) -> AsyncIterator[Process]:
    """A process that starts all workflows; killed at the end of the block."""
    command = [sys.executable, "-m", "tests.consumers.jobs.flow_program", url, str(FLOWS)]
    process = await anyio.open_process(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=None, stderr=None)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()


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
