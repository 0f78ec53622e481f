"""Jobs per second, end to end with an empty handler and one worker process: this project's queue next to others.

    python tests/benchmarks/jobs.py --url redis://127.0.0.1:6379 --python streaq=/venvs/streaq/bin/python ...

Each library runs in its own interpreter (it is left out if none is named and it can't be imported), on the same server,
one after the other, in turns. First a producer adds the jobs, using the library's bulk call if it has one; then one
worker process is started. The handler only counts: the time runs from its first call to its last. Settings are the
fastest that were found; "results" is whether each job's result is stored, and who stores them is compared with others
that do.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

COUNT = """
import itertools, os, time
numbers = itertools.count(1)
def count():
    global begun
    seen = next(numbers)  # each number is returned once, even in threads
    if seen == 1:
        begun = time.perf_counter()
    if seen == int(os.environ["JOBS"]):
        with open(os.environ["DONE"] + ".part", "w") as file:
            file.write(str(time.perf_counter() - begun))
        os.rename(os.environ["DONE"] + ".part", os.environ["DONE"])
URL, N = os.environ["URL"], int(os.environ["JOBS"])
"""


@dataclass(frozen=True)
class Library:
    """A job library: its app module, its producer, its worker's command line, and its number of jobs."""

    name: str
    package: str
    results: bool
    jobs: int
    app: str
    producer: str
    worker: tuple[str, ...]


OURS = """
from consumers.jobs import Queue
queue = Queue("bench")
@queue.job(keep_result={keep})
async def empty(n: int) -> None:
    count()
"""
OUR_PRODUCER = """
import time, trio
from app import *
async def main():
    async with queue.open(URL):
        begun = time.perf_counter()
        await queue.enqueue_many(empty.call(n) for n in range(N))
        print(time.perf_counter() - begun)
trio.run(main)
"""


def ours(name: str, loop: str, keep: int) -> Library:
    """This project's queue, whose worker runs on that loop and keeps each result for so many seconds."""
    command = (
        "from app import URL; from consumers.commands.work import main; main(['app:queue', '--concurrency', '100', "
        f"'--prefetch', '400', '--log-level', 'warning', '--loop', '{loop}', '--url', URL])"
    )
    return Library(name, "consumers", keep > 0, 40_000, OURS.format(keep=keep), OUR_PRODUCER, ("-c", command))


STREAQ = """
from streaq import Worker
worker = Worker(redis_url=URL, concurrency=100, prefetch=400, anyio_backend="{backend}")
@worker.task()
async def empty(n: int) -> None:
    count()
"""
STREAQ_PRODUCER = """
import time, anyio
from app import *
async def main():
    async with worker:
        begun = time.perf_counter()
        for start in range(0, N, 1000):
            await worker.enqueue_many([empty.enqueue(n) for n in range(start, min(N, start + 1000))])
        print(time.perf_counter() - begun)
anyio.run(main)
"""


def dramatiq(name: str, *, results: bool) -> Library:
    app = f"""
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
dramatiq.set_broker(RedisBroker(url=URL))
dramatiq.get_broker().add_middleware(Results(backend=RedisBackend(url=URL)))
@dramatiq.actor(store_results={results})
def empty(n):
    count()
"""
    producer = """
import time
from app import *
begun = time.perf_counter()
for n in range(N):
    empty.send(n)
print(time.perf_counter() - begun)
"""
    worker = ("-m", "dramatiq", "app", "--processes", "1", "--threads", "8")
    return Library(name, "dramatiq", results, 5_000, app, producer, worker)


def celery(name: str, *, results: bool) -> Library:
    app = f"""
from celery import Celery
app = Celery("app", broker=URL, backend=URL)
app.conf.worker_prefetch_multiplier = 400
app.conf.broker_connection_retry_on_startup = True
@app.task(ignore_result={not results})
def empty(n):
    count()
"""
    producer = """
import time
from app import *
begun = time.perf_counter()
with app.producer_or_acquire() as producer:
    for n in range(N):
        empty.apply_async((n,), producer=producer)
print(time.perf_counter() - begun)
"""
    worker = (
        "-m", "celery", "-A", "app", "worker", "--pool", "solo", "--loglevel", "ERROR",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    )  # fmt: skip
    return Library(name, "celery", results, 3_000, app, producer, worker)


LIBRARIES = (
    ours("trimaran", "trio", 600),
    ours("trimaran, asyncio", "asyncio", 600),
    ours("trimaran, uvloop", "uvloop", 600),
    ours("trimaran, no results", "trio", 0),
    Library(
        "streaq", "streaq", True, 10_000, STREAQ.format(backend="asyncio"), STREAQ_PRODUCER,
        ("-m", "streaq", "run", "app:worker"),
    ),
    Library(
        "arq", "arq", True, 3_000,
        """
from arq.connections import RedisSettings
async def empty(ctx, n):
    count()
class Settings:
    functions = [empty]
    redis_settings = RedisSettings.from_dsn(URL)
    max_jobs = 100
    poll_delay = 0.01
""",
        """
import asyncio, time
from arq import create_pool
from app import *
async def main():
    pool = await create_pool(Settings.redis_settings)
    begun = time.perf_counter()
    for start in range(0, N, 50):
        await asyncio.gather(*(pool.enqueue_job("empty", n) for n in range(start, min(N, start + 50))))
    print(time.perf_counter() - begun)
asyncio.run(main())
""",
        ("-m", "arq", "app.Settings"),
    ),
    Library(
        "taskiq", "taskiq_redis", True, 3_000,
        """
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker
broker = RedisStreamBroker(URL, consumer_id="0").with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=600))
@broker.task
async def empty(n: int) -> None:
    count()
""",
        """
import asyncio, time
from app import *
async def main():
    await broker.startup()
    begun = time.perf_counter()
    for start in range(0, N, 50):
        await asyncio.gather(*(empty.kiq(n) for n in range(start, min(N, start + 50))))
    print(time.perf_counter() - begun)
    await broker.shutdown()
asyncio.run(main())
""",
        ("-m", "taskiq", "worker", "app:broker", "--workers", "1", "--max-async-tasks", "100", "--log-level", "ERROR"),
    ),
    Library(
        "RQ (SimpleWorker)", "rq", True, 2_000,
        "def empty(n):\n    count()\n",
        """
import time, redis, rq
from app import *
queue = rq.Queue(connection=redis.Redis.from_url(URL))
begun = time.perf_counter()
queue.enqueue_many([rq.Queue.prepare_data(empty, (n,)) for n in range(N)])
print(time.perf_counter() - begun)
""",
        ("-c", "import sys; from app import URL; from rq.cli import main;"
         "sys.argv = ['rq', 'worker', '--worker-class', 'rq.SimpleWorker', '--url', URL, '--quiet']; main()"),
    ),
    dramatiq("Dramatiq", results=True),
    dramatiq("Dramatiq, no results", results=False),
    celery("Celery (solo)", results=True),
    celery("Celery (solo), no results", results=False),
)  # fmt: skip


def measure(library: Library, python: str, url: str, jobs: int, limit: float) -> tuple[float, float]:
    """Jobs added per second and jobs done per second."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "app.py").write_text(COUNT + library.app)
        done = Path(folder) / "done"
        environment = {
            "URL": url, "JOBS": str(jobs), "DONE": str(done), "PYTHONPATH": f"{folder}:{ROOT}", "PATH": "/usr/bin:/bin",
            "HOME": folder,
        }  # fmt: skip
        added = subprocess.run(
            [python, "-c", library.producer], cwd=folder, env=environment, capture_output=True, text=True, timeout=limit
        )
        if added.returncode:
            raise RuntimeError(f"{library.name}: {added.stderr.strip().splitlines()[-1]}")
        with (Path(folder) / "log").open("w+") as log:
            worker = subprocess.Popen(
                [python, *library.worker], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                deadline = time.monotonic() + limit
                while not done.exists():
                    if worker.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        raise RuntimeError(f"{library.name}: the worker did not finish: {log.read()[-500:]}")
                    time.sleep(0.05)
            finally:
                # some have child processes, which would take the next round's jobs
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
        return jobs / float(added.stdout.split()[-1]), jobs / float(done.read_text())


def flush(python: str, url: str) -> None:
    code = "import sys, trio, coredis\nasync def main():\n    async with coredis.Redis.from_url(sys.argv[1]) as c:\n"
    subprocess.run([python, "-c", code + "        await c.flushall()\ntrio.run(main)\n", url], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--url", default="redis://127.0.0.1:6379", help="a server of no other use: it is emptied")
    parser.add_argument("--python", action="append", default=[], metavar="PACKAGE=PATH", help="whose interpreter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="packages, separated by commas")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of jobs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in options.python)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.rounds):
        for library in LIBRARIES:
            if options.only and library.package not in options.only.split(","):
                continue
            python = pythons.get(library.package, sys.executable)
            if subprocess.run([python, "-c", f"import {library.package}"], capture_output=True, cwd=ROOT).returncode:
                continue
            flush(sys.executable, options.url)
            try:
                figures = measure(library, python, options.url, max(100, int(library.jobs * options.scale)), 120)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(error, file=sys.stderr)
                continue
            found.setdefault(library.name, []).append(figures)
    report(found, as_json=options.json)


def report(found: dict[str, list[tuple[float, float]]], *, as_json: bool) -> None:
    medians = {
        name: [statistics.median(figures) for figures in zip(*rounds, strict=True)] for name, rounds in found.items()
    }
    if as_json:
        print(json.dumps(medians))
        return
    results = {library.name: library.results for library in LIBRARIES}
    print(f"{'':26}{'results':>8}{'added/s':>10}{'done/s':>10}{'of the best other':>20}")
    for name, (added, done) in medians.items():
        others = [
            other for rival, (_, other) in medians.items()
            if results[rival] == results[name] and not rival.startswith("trimaran")
        ]  # fmt: skip
        share = f"{done / max(others):.2f}" if others else "-"
        print(f"{name:26}{'yes' if results[name] else 'no':>8}{added:>10.0f}{done:>10.0f}{share:>20}")


if __name__ == "__main__":
    main()
