"""The Celery application of test_celery.py; its worker processes import it too.

Every task counts its runs in the broker itself, so that a test can tell "done once" from "done twice".

Celery's Redis transport takes a redis-py lock now and then, whose release is a Lua script. The broker has no
scripting yet, so the lock is released by WATCH and MULTI instead; that is the one thing that is not stock
Celery.
"""

import functools
import os

import redis
import redis.lock
from celery import Celery, Task


class WatchingLock(redis.lock.Lock):
    """redis-py's lock, released without a script."""

    def do_release(self, expected_token: bytes) -> None:
        with self.redis.pipeline() as pipe:
            pipe.watch(self.name)
            if pipe.get(self.name) != expected_token:
                raise redis.exceptions.LockNotOwnedError("Cannot release a lock that's no longer owned")
            pipe.multi()
            pipe.delete(self.name)
            pipe.execute()


redis.Redis.lock = functools.partialmethod(redis.Redis.lock, lock_class=WatchingLock)

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

app = Celery("jobs", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
    result_expires=600,
    worker_prefetch_multiplier=4,
    task_acks_late=True,
    worker_hijack_root_logger=False,
)


def runs() -> "redis.Redis":
    """The counters of runs, one hash field a job."""
    return redis.Redis.from_url(URL, decode_responses=True)


def _count(name: str) -> int:
    with runs() as client:
        return int(client.hincrby("runs", name, 1))


@app.task
def add(a: int, b: int) -> int:
    _count(f"add {a} {b}")
    return a + b


@app.task
def total(numbers: list[int]) -> int:
    _count("total")
    return sum(numbers)


@app.task(bind=True, max_retries=5)
def third_time(self: Task, name: str) -> int:
    """Fails twice, and returns how often it was run."""
    run = _count(name)
    if run < 3:
        raise self.retry(countdown=0)
    return run


@app.task
def fails(text: str) -> None:
    raise ValueError(text)
