"""Queues and all commands, reached by the URL of a cluster, of Sentinels, or of the environment."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio

from broker import cli
from consumers.addresses import client_from_url
from consumers.commands.job_queues import opened_queue
from consumers.jobs import JobCancelled, JobState, Queue, Worker
from tests.consumers.clusters import HALF, started_cluster, two_nodes
from tests.consumers.sentinel import NAME, sentinel_of
from tests.consumers.servers import RedisServer, executable
from tests.forkserver import context

queue = Queue("places")
KINDS = ("cluster", "sentinel")


@queue.job()
async def double(n: int) -> int:
    if n < 0:
        raise ValueError("negative")
    return 2 * n


@contextmanager
def _url(kind: str) -> Iterator[str]:
    if kind == "cluster":
        with two_nodes() as nodes:

            async def ready() -> None:
                async with started_cluster(nodes):
                    pass

            trio.run(ready)
            yield f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"
        return
    path = executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    server = RedisServer(path)
    try:
        server.start()
        with sentinel_of(server) as port:
            yield f"redis+sentinel://127.0.0.1:{port}/{NAME}/0"
    finally:
        server.stop()


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with _url(request.param) as found:
        yield found


def trimaran(*words: str, url: str) -> tuple[int, str, str]:
    """Run a command; returns its exit status, and what it printed as output and as errors."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("output", "errors")]
        process = context.Process(target=_print_to, args=(files, [*words, "--url", url]))
        process.start()
        process.join(60)
        assert process.exitcode is not None
        output, errors = (file.read_text() for file in files)
        return process.exitcode, output, errors


def _print_to(files: list[Path], words: list[str]) -> None:
    for descriptor, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.exit(cli.main(words))


def printed(*words: str, url: str) -> str:
    status, output, errors = trimaran(*words, url=url)
    assert (status, errors) == (0, "")
    return output


async def test_a_queue_works_there(url: str) -> None:
    with trio.fail_after(60):
        async with queue.open(url), trio.open_nursery() as nursery:
            worker = Worker(queue)
            nursery.start_soon(worker.run)
            jobs = await queue.enqueue_many([double.call(n) for n in range(20)])
            assert [await job.result(timeout=30) for job in jobs] == [2 * n for n in range(20)]
            nursery.cancel_scope.cancel()


async def test_jobs_are_seen_and_managed_there(url: str) -> None:
    with trio.fail_after(60):
        async with client_from_url(url) as client, queue.open(client), Worker(queue).open() as worker:
            done = await double.enqueue(4, job_id="four")
            assert await done.result(timeout=30) == 8 and await done.status() is JobState.DONE
            assert not (await double.enqueue(5, job_id="four")).created and await done.delete()
            await queue.pause()
            while not worker.paused:
                await trio.sleep(0.01)
            jobs = await queue.enqueue_many([double.call(n, delay=n % 2 * 60) for n in range(8)])
            assert await jobs[0].reschedule(delay=100) and await jobs[1].reschedule(delay=0)
            assert await jobs[2].delete() and await jobs[3].delete()
            async with opened_queue(client, "places") as named:
                # the workers go on moving what is due
                while (counts := await named.counts()).delayed > 2:
                    await trio.sleep(0.01)
                assert (counts.workers, counts.paused) == (1, True)
                assert await named.purge("waiting") == 4 and await named.purge("delayed") == 2
                await named.resume()
            for job in (jobs[0], jobs[1], *jobs[4:]):
                with pytest.raises(JobCancelled):
                    await job.result(timeout=30)
            assert await (await double.enqueue(6)).result(timeout=30) == 12


def test_commands_work_there(url: str) -> None:
    for n in range(3):
        printed("publish", "--stream", f"orders-{n}", f"n={n}", url=url)
    assert printed("tail", "orders-1", "--no-follow", url=url).endswith("\tn=1\n")
    assert printed("publish", "nobody", "x", url=url) == printed("publish", "--shard", "nobody", "x", url=url) == "0\n"
    lines = [json.loads(line) for line in printed("queues", "orders-*", "--json", url=url).splitlines()]
    assert {line["queue"]: line["depth"] for line in lines} == {f"orders-{n}": 1 for n in range(3)}
    assert printed("redrive", "places", "--dry-run", url=url) == ""


async def test_the_environment_names_the_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-m", "broker", "publish", "--stream", "named", "n=1"]
    environment = {"PATH": "/usr/bin:/bin", "REDIS_URL": url}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("REDIS_URL", url)
    with trio.fail_after(60):
        async with queue.open():
            streams = await queue.connection.link.execute([(b"XLEN", "named")])
    assert streams == [1]


def test_one_of_the_places_may_be_missing(url: str) -> None:
    scheme, _, rest = url.partition("://")
    assert printed("publish", "nobody", "x", url=f"{scheme}://127.0.0.1:1,{rest}") == "0\n"


def test_a_missing_place_is_one_line() -> None:
    for url in ("redis+cluster://127.0.0.1:1,127.0.0.1:2", f"redis+sentinel://127.0.0.1:1/{NAME}"):
        status, _, errors = trimaran("publish", "news", "x", url=url)
        assert status == 1
        assert errors.count("\n") == 1 and errors.startswith("trimaran publish: ")


def test_the_halves_of_the_cluster_both_have_streams() -> None:
    """Otherwise the tests above would see one node only."""
    from coredis.typing import Key

    slots = [Key(f"orders-{n}").slot for n in range(3)]
    assert min(slots) < HALF <= max(slots)
