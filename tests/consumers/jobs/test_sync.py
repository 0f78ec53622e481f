"""Queues in programs without an event loop."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from coredis.exceptions import AuthorizationError, ConnectionError

import broker
from broker.testing.in_thread import BrokerOnPort
from consumers.jobs import PREVIOUS, FlowState, JobCancelled, JobState, Queue, RunningFlow, SyncJob, Worker, chain
from tests.consumers.servers import RedisServer, executable

ROOT = Path(__file__).resolve().parents[3]

queue = Queue("q")


@queue.job(retries=0)
async def add(a: int, b: int = 1) -> int:
    return a + b


@queue.job(retries=0)
async def forever() -> None:
    await anyio.sleep_forever()


@queue.job(retries=0)
def add_in_a_thread(a: int) -> int:
    """A job that is not asynchronous enqueues as other programs do."""
    return add.sync.enqueue(a).result(timeout=30)


@pytest.fixture(scope="module")
def server() -> Iterator[BrokerOnPort]:
    with broker.in_thread() as running:
        yield running


@pytest.fixture
def opened(server: BrokerOnPort) -> Iterator[None]:
    """`queue`, empty, at the server."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    with queue.sync.open(server.url):
        yield


@contextmanager
def working(url: str) -> Iterator[None]:
    """A worker in a thread, with a loop of its own, in which the queue is open as well."""
    stop, started = asyncio.Event(), threading.Event()

    async def main() -> None:
        async with queue.open(url), Worker(queue).open():
            started.set()
            await stop.wait()

    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as threads:
        worker = threads.submit(loop.run_until_complete, main())
        started.wait()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            worker.result()
            loop.close()


@pytest.fixture
def worker(opened: None, server: BrokerOnPort) -> Iterator[None]:
    with working(server.url):
        yield


def test_ten_threads_enqueue_and_wait_at_once(worker: None, server: BrokerOnPort) -> None:
    def use(a: int) -> list[int]:
        return [add.sync.enqueue(a, b).result(timeout=30) for b in range(10)]

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(use, range(10))) == [[a + b for b in range(10)] for a in range(10)]


def test_threads_share_one_connection_for_enqueueing(opened: None, server: BrokerOnPort) -> None:
    with redis.Redis.from_url(server.url) as client, ThreadPoolExecutor(10) as threads:
        before = len(client.client_list())
        list(threads.map(add.sync.enqueue, range(100)))
        assert len(client.client_list()) == before + 1


def test_options_and_many(worker: None) -> None:
    first, again = (add.sync.enqueue(1, job_id="one") for _ in range(2))
    assert (first.id, first.created, again.created) == ("one", True, False)
    assert again.result(30) == 2 and repr(again) == "<SyncJob q one>"
    assert add.with_options(job_id="two", priority="high").sync.enqueue(5).result(30) == 6
    assert queue.sync.handle("two", add).result() == 6
    mine = threading.get_ident()

    def calls() -> Iterator[Any]:
        assert threading.get_ident() == mine, "an ORM's rows can be read in their own thread only"
        yield from (add.call(n) for n in range(3))

    assert [job.result(30) for job in queue.sync.enqueue_many(calls())] == [1, 2, 3]
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        add.sync.enqueue()  # type: ignore[call-overload]


def test_a_job_in_a_thread_enqueues_others(worker: None) -> None:
    assert add_in_a_thread.sync.enqueue(4).result(timeout=30) == 5


def test_jobs_are_seen_and_managed(opened: None) -> None:
    job = add.sync.enqueue(1, delay=1000)
    assert job.status() is JobState.DELAYED and job.info().name == "add"
    assert job.reschedule(delay=2000) and job.status() is JobState.DELAYED
    assert job.delete() and not job.delete() and job.status() is JobState.UNKNOWN
    late = add.sync.enqueue(1, delay=1000)
    assert late.cancel()
    with pytest.raises(JobCancelled):
        late.result(30)
    with pytest.raises(TimeoutError, match="has not ended within"):
        forever.sync.enqueue().result(timeout=0.01)


def test_workflows(worker: None) -> None:
    flow = chain(add.call(1), add.call(PREVIOUS, b=5), id="sum")
    running = flow.sync.start()
    assert running.result(timeout=30) == 7
    assert (running.id, running.created, flow.sync.start().created) == ("sum", True, False)
    assert repr(running) == "<SyncRunningFlow q sum>"
    elsewhere = RunningFlow(queue, "sum").sync
    assert elsewhere.status().state is FlowState.DONE and elsewhere.results() == {"add": 2, "add-2": 7}
    assert elsewhere.job("add").result(timeout=30) == 2 and not elsewhere.cancel()
    with pytest.raises(KeyError):
        elsewhere.job("subtract")


def test_everything_else_works_as_well(opened: None) -> None:
    ids = [job.id for job in queue.sync.enqueue_many(add.call(n, delay=1000) for n in range(3))]
    assert queue.sync.run(queue.counts).delayed == 3
    assert [info.id for info in queue.sync.collect(queue.jobs("delayed"))] == ids
    assert queue.sync.run(queue.purge, "delayed") == 3


def test_a_test_runs_what_it_has_enqueued(opened: None) -> None:
    jobs = queue.sync.enqueue_many([add.call(1), add.call(2)])
    later = add.sync.enqueue(3, delay=1000)
    queue.sync.run(Worker(queue).burst)
    assert [job.status() for job in jobs] == [JobState.DONE, JobState.DONE]
    assert later.status() is JobState.DELAYED
    queue.sync.run(Worker(queue).burst)


# Where it is.


def test_which_server(server: BrokerOnPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    elsewhere = Queue("elsewhere")
    add = elsewhere.job(name="add")(lambda: None)
    with pytest.raises(ConnectionError, match="no connection to"):
        add.sync.enqueue()
    with pytest.raises(RuntimeError, match="the queue elsewhere is open already"), elsewhere.sync.open(server.url):
        raise AssertionError
    named = Queue("named", url=server.url)
    add = named.job(name="add")(lambda: None)
    assert add.sync.enqueue().created
    for wrong in ("http://example.com", "nowhere"):
        with pytest.raises(ValueError, match=wrong), Queue("wrong", url=wrong).sync.open() as sync:
            sync.run(named.counts)
    with pytest.raises(TypeError, match="url is str"):
        Queue("wrong", url=b"redis://")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="server is str"), elsewhere.sync.open(5):  # type: ignore[arg-type]
        raise AssertionError


def test_what_the_server_forbids_is_raised_where_it_is_missed(opened: None, server: BrokerOnPort) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("mute", enabled=True, passwords=["+p"], keys=["*"], commands=["+@all"], reset_channels=True)
    other = Queue("q", url=server.url.replace("//", "//mute:p@"))
    try:
        job = other.job(name="add")(lambda: None).sync.enqueue()
        for _ in range(2):
            with pytest.raises(AuthorizationError):
                job.result(timeout=30)
        assert job.status() is JobState.WAITING, "it goes on with what is allowed"
    finally:
        other.sync._hosted.close()


# Event loops.


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_in_a_loop_it_is_an_error_and_in_its_threads_it_works(backend: str, opened: None) -> None:
    async def here() -> None:
        with pytest.raises(RuntimeError, match="would block the event loop"):
            add.sync.enqueue(1)

    async def main() -> None:
        await here()
        job = await anyio.to_thread.run_sync(add.sync.enqueue, 1)
        if backend == "asyncio":
            assert (await asyncio.to_thread(job.status)) is JobState.WAITING
        async with queue.open(queue.sync._server):
            await here()
            assert await queue.handle(job.id).status() is JobState.WAITING

    anyio.run(main, backend=backend)
    with pytest.raises(RuntimeError, match="would block"):
        queue.sync.run(here_too)


async def here_too() -> None:
    add.sync.enqueue(1)


# Interruptions.


def test_ctrl_c_ends_a_wait_and_nothing_else(worker: None) -> None:
    job = forever.sync.enqueue()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(1) as threads:
            threads.submit(interrupt_when, lambda: waiters() == 1)
            with pytest.raises(KeyboardInterrupt):
                job.result()
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: waiters() == 0)
    assert add.sync.enqueue(1).result(timeout=30) == 2
    job.cancel()


def waiters() -> int:
    async def count() -> int:
        return len(queue.connection.results._waiters)

    return queue.sync.run(count)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def interrupt_when(condition: Callable[[], object]) -> None:
    until(condition)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_a_server_that_is_restarted_costs_an_error_or_nothing() -> None:
    # a redis-server if there is one, because it starts at once
    server = RedisServer(executable("redis-older"), "--appendonly", "yes", "--appendfsync", "always")
    server.start()
    try:
        with queue.sync.open(server.url), ThreadPoolExecutor(2) as threads:
            before = add.sync.enqueue(1)
            server.kill()
            with pytest.raises(ConnectionError):
                add.sync.enqueue(2)
            own = threads.submit(add.sync.enqueue, 3, job_id="three")
            result = threads.submit(before.result, timeout=60)
            server.start()
            assert own.result().created
            with working(server.url):
                assert result.result() == 2
                assert own.result().result(timeout=60) == 4
    finally:
        server.stop()


# Processes.

FORKING = """
import os, sys, threading
from consumers.jobs import Queue

queue = Queue("q")

@queue.job()
def add(a: int, b: int = 1) -> int: ...

assert add.sync.enqueue(1, job_id="before").created
threads = [threading.Thread(target=lambda: [add.sync.enqueue(n) for n in range(30)]) for _ in range(3)]
for thread in threads:
    thread.start()
children = []
for _ in range(4):
    if child := os.fork():
        children.append(child)
        continue
    assert [add.sync.enqueue(n).result(timeout=30) for n in range(5)] == [1, 2, 3, 4, 5]
    assert not add.sync.enqueue(1, job_id="before").created
    sys.exit(0)
for thread in threads:
    thread.join()
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
assert add.sync.enqueue(8).result(timeout=30) == 9
"""


def test_forked_children_enqueue_and_wait_on_their_own(worker: None, server: BrokerOnPort) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process", "-c", FORKING],
        cwd=ROOT, env={**os.environ, "REDIS_URL": server.url}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_its_jobs_are_of_their_own_class(opened: None) -> None:
    job = add.sync.enqueue(1)
    assert isinstance(job, SyncJob) and job.job.id == job.id
