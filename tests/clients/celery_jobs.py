"""The Celery application of test_celery.py; its worker processes import it too.

Every task counts its runs in the broker itself, so that a test can tell "done once" from "done twice".
"""

import os

import redis
from celery import Celery, Task

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

app = Celery("jobs", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
    result_expires=600,
    worker_prefetch_multiplier=4,
    task_acks_late=True,
    worker_hijack_root_logger=False,
    beat_schedule={"often": {"task": "tests.clients.celery_jobs.tick", "schedule": 0.2}},
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


@app.task
def tick() -> None:
    _count("tick")
