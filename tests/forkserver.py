"""The process from which tests fork others: it has imported what takes a new interpreter most of its start.

What is tested is a process all the same: it has its own memory, and is killed by signals.
"""

import multiprocessing

__all__ = ["context"]

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([
    "anyio._backends._asyncio", "anyio._backends._trio", "broker.server", "consumers.commands.publish",
    "consumers.commands.work", "consumers.lists", "consumers.streams", "tests.consumers.loops", "tests.crash.process",
])  # fmt: skip
