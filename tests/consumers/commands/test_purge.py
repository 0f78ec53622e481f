"""`trimaran pause`, `resume` and `purge`."""

import coredis
import pytest

from consumers.commands import jobs, pause, purge, resume
from consumers.commands.running import CommandError
from consumers.jobs import JobCancelled, Queue, Worker
from tests.consumers.commands.commands import lines
from tests.consumers.jobs.working import until

Client = coredis.Redis[bytes]


async def test_a_queue_is_paused_purged_and_resumed(client: Client) -> None:
    queue, ran = Queue("shop", priorities=("urgent", "some day")), list[int]()

    @queue.job()
    async def work(n: int) -> int:
        ran.append(n)
        return n

    async with queue.open(client), Worker(queue).open() as worker:
        assert await (await work.enqueue(0)).result(timeout=30) == 0
        assert await lines(pause, client, "shop") == ["paused"]
        await until(lambda: worker.paused)
        made = await queue.enqueue_many(
            [work.call(1), work.call(2, priority="urgent"), work.call(3, delay=60), work.call(4, delay=60)]
        )
        assert (await lines(jobs, client, "shop"))[-1] == "paused\tyes"
        assert await lines(purge, client, "shop", "waiting") == ["2"]
        assert await lines(purge, client, "shop", "delayed", "--json") == ['{"purged": 2}']
        for job in made:
            with pytest.raises(JobCancelled):
                await job.result(timeout=30)
        last = await work.enqueue(5)
        assert await lines(resume, client, "shop", "--json") == ['{"paused": false}']
        assert await last.result(timeout=30) == 5
    assert ran == [0, 5]


async def test_a_mistake_is_told(client: Client) -> None:
    for module, words in ((pause, ()), (resume, ()), (purge, ("waiting",))):
        with pytest.raises(CommandError, match="there is no job queue nosuch"):
            await lines(module, client, "nosuch", *words)
    with pytest.raises(SystemExit):
        purge.main(["shop", "running"])
