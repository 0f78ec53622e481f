"""A worker process of test_bullmq.py, which takes the names of its queues. Runs are counted in the broker itself."""

import asyncio
import os
import signal
import sys
from typing import Any

from bullmq import Job, Worker

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")
# a killed worker's job is taken over within a second or two
OPTIONS = {"connection": URL, "concurrency": 4, "lockDuration": 1000, "stalledInterval": 500, "drainDelay": 1}


async def process(job: Job, token: str) -> Any:
    run = await job.queue.client.hincrby("runs", f"{job.name} {job.data.get('of', '')}", 1)
    match job.name:
        case "double":
            return {"doubled": job.data["of"] * 2}
        case "third time":
            if run < 3:
                raise ValueError(f"run {run}")
            return run
        case "report":
            await job.updateProgress(50)
            await job.log("half of it")
            return "all of it"
        case "sum":
            return sum(value["doubled"] for value in (await job.getChildrenValues()).values())
        case "hang once":
            if run == 1:
                await asyncio.sleep(600)
            return run
    raise ValueError(job.name)


async def main(queues: list[str]) -> None:
    workers = [Worker(queue, process, OPTIONS) for queue in queues]
    for worker in workers:
        worker.on("error", lambda error, *_: print(f"error: {error!r}", flush=True))
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    for worker in workers:
        await worker.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
