"""The actors of test_dramatiq.py; its worker processes import them too. Runs are counted in the broker itself."""

import os
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitsBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultsBackend

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

# maintenance runs with every fetch, so that its part of the script is tested at all
broker = RedisBroker(url=URL, maintenance_chance=1_000_000)
broker.add_middleware(Results(backend=ResultsBackend(url=URL)))
dramatiq.set_broker(broker)

one_at_a_time = ConcurrentRateLimiter(LimitsBackend(url=URL), "one at a time", limit=1)


def runs() -> "redis.Redis":
    """The counters of runs, one hash field a job."""
    return redis.Redis.from_url(URL, decode_responses=True)


def _count(name: str) -> int:
    with runs() as client:
        return int(client.hincrby("runs", name, 1))


@dramatiq.actor(store_results=True)
def add(a: int, b: int) -> int:
    _count(f"add {a} {b}")
    return a + b


@dramatiq.actor(store_results=True, max_retries=5, min_backoff=50, max_backoff=100)
def third_time(name: str) -> int:
    """Fails twice, and returns how often it was run."""
    run = _count(name)
    if run < 3:
        raise ValueError(f"run {run}")
    return run


@dramatiq.actor(max_retries=1, min_backoff=50, max_backoff=100)
def fails(name: str) -> None:
    _count(name)
    raise ValueError(name)


@dramatiq.actor
def slow(name: str) -> None:
    time.sleep(0.05)
    _count(name)


@dramatiq.actor(max_retries=50, min_backoff=20, max_backoff=40)
def alone(name: str) -> None:
    """Counts how many run at the same time, while only one may."""
    with one_at_a_time.acquire(), runs() as client:
        together = client.incr("together")
        time.sleep(0.01)
        client.decr("together")
        client.hincrby("runs", f"{together} together", 1)


@dramatiq.actor(queue_name="hanging", max_retries=0)
def hangs_once(name: str) -> None:
    if _count(name) == 1:
        time.sleep(600)
