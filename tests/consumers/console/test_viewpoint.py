"""The server as one user sees it."""

import anyio
import coredis

from consumers.addresses import client_from_url
from consumers.console.viewpoint import QUEUES, Viewpoint
from consumers.jobs import Queue

Client = coredis.Redis[bytes]


async def test_queues_are_watched(client: Client, server_url: str) -> None:
    queue = Queue("seen")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(client):
        await work.enqueue()
    async with anyio.create_task_group() as tasks:
        viewpoint = Viewpoint(lambda: client_from_url(server_url), tasks)
        tasks.start_soon(viewpoint.server.run)
        found = await viewpoint.queues.latest(20)
        assert found is not None and found.complete
        [figures] = found.figures
        assert (figures.library, figures.name, figures.waiting) == ("consumers", "seen", 1)
        library = viewpoint.discovery.libraries["consumers"]
        watch = viewpoint.queue(library, "seen")
        found = await watch.latest(20)
        assert found is not None and found.waiting == 1 and viewpoint.queue(library, "seen") is watch
        assert viewpoint.past.samples("consumers", "seen")[0]["waiting"] == 1
        for number in range(QUEUES):
            viewpoint.queue(library, f"another {number}")
        assert viewpoint.queue(library, "seen") is not watch
        viewpoint.server.close()
