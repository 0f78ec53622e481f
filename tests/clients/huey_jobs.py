"""The Huey instances of test_huey.py; its consumer processes import them too. Runs are counted in the broker itself."""

import os
import time
from typing import Any

from huey import Huey, PriorityRedisHuey, RedisExpireHuey
from huey.contrib.helpers import RedisSemaphore

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

expiring = RedisExpireHuey("expiring", url=URL, notify_result=True, store_intermediate_errors=False)
by_priority = PriorityRedisHuey("priority", url=URL, notify_result=True)


def _count(huey: Huey, name: str) -> int:
    return int(huey.storage.conn.hincrby("runs", name, 1))


@expiring.task()
def double(number: int) -> int:
    _count(expiring, f"double {number}")
    return number * 2


@expiring.task(retries=5, context=True)
def third_time(name: str, task: Any = None) -> int:
    """Fails twice, and returns how often it was run."""
    run = _count(expiring, name)
    if run < 3:
        raise ValueError(f"run {run}")
    return run


@expiring.task(retries=200, retry_delay=0)
@expiring.lock_task("one at a time")
def alone() -> None:
    """Counts how many run at the same time, while only one may."""
    together = expiring.storage.conn.incr("together")
    time.sleep(0.01)
    expiring.storage.conn.decr("together")
    _count(expiring, f"{together} together")


@expiring.task(retries=200, retry_delay=0)
def at_most_two() -> None:
    semaphore = RedisSemaphore(expiring, "two at a time", 2)
    name = semaphore.acquire()
    if name is None:
        raise RuntimeError("not now")
    together = expiring.storage.conn.incr("together")
    time.sleep(0.01)
    expiring.storage.conn.decr("together")
    semaphore.release(name)
    _count(expiring, "at most two" if together <= 2 else "more than two")


@by_priority.task()
def note(name: str) -> None:
    by_priority.storage.conn.rpush("order", name)
