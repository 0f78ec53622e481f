"""A program of workflows, for processes that are killed: its queue for workers, and what starts them."""

import random

from consumers.jobs import Queue
from tests.consumers.jobs.flow_model import Program, Spec, StoredLedger, random_spec

__all__ = ["program", "queue", "spec_of", "start_all"]

queue = Queue("flows")
program = Program(StoredLedger(queue), queue)


def spec_of(number: int) -> Spec:
    """The same in all processes."""
    return random_spec(random.Random(number))


async def start_all(url: str, count: int) -> None:
    async with queue.open(url):
        for number in range(count):
            await program.start(spec_of(number), str(number))
