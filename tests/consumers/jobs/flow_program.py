"""A program of workflows, for processes that are killed: its queue for workers, and as __main__ one that starts them.

python -m tests.consumers.jobs.flow_program URL COUNT
"""

import random
import sys

import anyio

from consumers.jobs import Queue
from tests.consumers.jobs.flow_model import Program, Spec, StoredLedger, random_spec

__all__ = ["program", "queue", "spec_of"]

queue = Queue("flows")
program = Program(StoredLedger(queue), queue)


def spec_of(number: int) -> Spec:
    """The same in all processes."""
    return random_spec(random.Random(number))


async def start_all(url: str, count: int) -> None:
    async with queue.open(url):
        for number in range(count):
            await program.start(spec_of(number), str(number))


if __name__ == "__main__":
    anyio.run(start_all, sys.argv[1], int(sys.argv[2]))
