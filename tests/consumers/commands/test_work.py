"""`trimaran work`: its arguments, and its end at a signal."""

import importlib.util
import json
import signal
import sys
from pathlib import Path

import anyio
import coredis
import pytest

from consumers.commands import work, work_process, work_reload
from consumers.commands.running import CommandError
from consumers.jobs import JobFailed, JobState, Queue
from tests.consumers import loops
from tests.consumers.forked import ForkedProcess, forked
from tests.consumers.jobs import program
from tests.consumers.jobs.processes import PROGRAM, worker
from tests.consumers.jobs.program import queue

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


def test_the_queue_is_found_by_module_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert work.find("tests.consumers.jobs.program:queue") is queue
    (tmp_path / "their_app.py").write_text("from consumers.jobs import Queue\nclass a:\n    q = Queue('theirs')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    assert work.find("their_app:a.q").name == "theirs"
    for target, text in {
        "queue": "'queue' is not of the form MODULE:QUEUE, as in myapp:queue",
        "nothing.here:queue": "there is no module 'nothing'",
        "their_app.py:b": "there is no module 'their_app.py'; name its module, as in their_app:b",
        "/their/app.py": "/their/app.py is a file: name its module, as in their.app:queue",
        "their_app:b": "their_app has no 'b'",
        "their_app:a": "their_app:a is no consumers.jobs.Queue, but of type type",
        "tests.consumers.jobs.program:q": "tests.consumers.jobs.program has no 'q'; its queues: queue, fair, crashing",
    }.items():
        with pytest.raises(CommandError) as caught:
            work.find(target)
        assert str(caught.value) == text


def test_a_module_that_fails_is_shown_from_its_own_first_line_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, source, last in (
        ("their_bug", "x = [\n1 / 0]\n", "ZeroDivisionError: division by zero"),
        ("their_need", "import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("their_slip", "def f(:\n", "SyntaxError: invalid syntax"),
    ):
        (tmp_path / f"{name}.py").write_text(source)
        assert work.main([f"{name}:queue"]) == 2
        *shown, summary = capsys.readouterr().err.splitlines()
        assert summary == f"trimaran work: {name} can't be imported: {last.partition(':')[0]}"
        assert shown[-1] == last
        assert [line.split('"')[1] for line in shown if " File " in line] == [str(tmp_path / f"{name}.py")]


def test_mistakes_are_told_in_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert work.main(["tests.consumers.jobs.program:work"]) == 2
    assert capsys.readouterr().err == (
        "trimaran work: tests.consumers.jobs.program:work is no consumers.jobs.Queue, but of type JobFunction; "
        "its queues: queue, fair, crashing\n"
    )
    assert work.main(["tests.consumers.jobs.program:queue"] * 2) == 2
    assert work.main(["tests.consumers.jobs.program:queue", "--reload", "--burst"]) == 2
    monkeypatch.setattr(work_reload, "available", lambda: False)
    assert work.main(["tests.consumers.jobs.program:queue", "--reload"]) == 2
    assert capsys.readouterr().err == (
        "trimaran work: the queue killed is given twice\n"
        "trimaran work: --burst ends, and --reload does not: give one of them\n"
        "trimaran work: --reload: watchfiles is not installed; install it with pip install 'trimaran[reload]'\n"
    )
    with pytest.raises(SystemExit):
        work.main([])


def test_the_loop_is_the_one_that_is_asked_for_or_the_queues_own(capsys: pytest.CaptureFixture[str]) -> None:
    either, asyncio, trio = Queue("q"), Queue("q", loop="asyncio"), Queue("t", loop="trio")
    for queues, asked in (([either], None), ([trio], None), ([either], "trio"), ([either, trio], None)):
        assert work.loop_of(queues, asked) == ("trio", {})
    for queues, asked in (([asyncio], None), ([either], "asyncio"), ([asyncio], "asyncio"), ([either, asyncio], None)):
        assert work.loop_of(queues, asked) == ("asyncio", {"use_uvloop": False})
    with pytest.raises(CommandError, match=r"^--loop trio: the queue q has jobs for asyncio$"):
        work.loop_of([asyncio], "trio")
    with pytest.raises(CommandError, match=r"^--loop uvloop: the queue t has jobs for trio$"):
        work.loop_of([either, trio], "uvloop")
    with pytest.raises(CommandError, match=r"^one process runs one loop, here asyncio: the queue t has jobs for trio$"):
        work.loop_of([asyncio, trio], None)
    with pytest.raises(SystemExit):
        work.main(["tests.consumers.jobs.program:queue", "--loop", "twisted"])
    assert "invalid choice" in capsys.readouterr().err


def test_the_server_is_the_one_that_is_asked_for_or_the_queues_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the error about its URL."""
    monkeypatch.setenv("REDIS_URL", "environment://")
    for url, words, chosen in (
        ("queue://", ["--url", "option://"], "option://"), ("queue://", [], "queue://"), (None, [], "environment://")
    ):  # fmt: skip
        monkeypatch.setattr(queue, "url", url)
        assert work.main(["tests.consumers.jobs.program:queue", *words]) == 2
        assert capsys.readouterr().err.startswith(f"trimaran work: {chosen}: ")


def test_uvloop_must_be_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for spec, outcome in ((object(), ("asyncio", {"use_uvloop": True})), (None, None)):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, spec=spec: spec)
        if outcome is not None:
            assert work.loop_of([Queue("q", loop="asyncio")], "uvloop") == outcome
        else:
            assert work.main(["tests.consumers.jobs.program:queue", "--loop", "uvloop"]) == 2
            assert capsys.readouterr().err == (
                "trimaran work: --loop uvloop: uvloop is not installed; install it with pip install uvloop\n"
            )


async def lines(process: ForkedProcess) -> list[str]:
    return b"".join([data async for data in process.stderr]).decode().splitlines()


async def until_ready(client: Client) -> None:
    with anyio.fail_after(20):
        while not await client.exists([queue.keys.streams["normal"]]):
            await anyio.sleep(0.02)


@pytest.mark.spread
async def test_a_signal_lets_jobs_finish_and_gives_back_the_rest(client: Client, server_url: str) -> None:
    with anyio.fail_after(40):
        async with queue.open(client):
            async with worker(server_url, "--concurrency", "2", "--grace", "5", "--json") as process:
                await until_ready(client)
                jobs = await queue.enqueue_many(program.work.call(n, 0.5) for n in range(4))
                while await client.llen("begun") < 2:
                    await anyio.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                assert await jobs[0].result(timeout=30) == 0
                assert await jobs[1].result(timeout=30) == 1
                assert await process.wait() == 0
                told = [json.loads(line) for line in await lines(process)]
            done = [line for line in told if " is done in " in line["message"]]
            assert {(line["level"], line["job"], line["job_id"], line["attempt"]) for line in done} == {
                ("INFO", "work", job.id, 1) for job in jobs[:2]
            }
            assert all(line["seconds"] >= 0.5 for line in done)
            others = [line["message"].split(" ", 1)[0] for line in told if line not in done]
            assert others == ["worker", "SIGTERM:", "worker", "2"]
            assert "2 done, 0 failed, 0 to be retried, 0 dead" in told[-1]["message"]
            assert sorted(await client.lrange("done", 0, -1)) == [b"0", b"1"]
            async with worker(server_url):
                assert [await job.result(timeout=30) for job in jobs] == [0, 1, 2, 3]


@pytest.mark.spread
async def test_the_log_says_no_more_than_asked_for(client: Client, server_url: str) -> None:
    with anyio.fail_after(40):
        async with queue.open(client), worker(server_url, "--log-level", "warning") as process:
            job = await program.work.enqueue(1, 0.0)
            assert await job.result(timeout=20) == 1
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert await lines(process) == []


@pytest.mark.spread
async def test_a_second_signal_ends_the_grace_time(client: Client, server_url: str) -> None:
    with anyio.fail_after(40):
        async with queue.open(client):
            async with worker(server_url, "--grace", "60") as process:
                await until_ready(client)
                job = await program.work.enqueue(1, 30.0)
                while await client.llen("begun") < 1:
                    await anyio.sleep(0.01)
                process.send_signal(signal.SIGINT)
                await anyio.sleep(0.2)
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0
            assert await client.xlen(queue.keys.streams["normal"]) == 1
            await job.cancel()


@pytest.mark.spread
async def test_failures_are_logged_with_the_job(client: Client, server_url: str) -> None:
    with anyio.fail_after(40):
        async with queue.open(client), worker(server_url, "--json") as process:
            job = await program.poison.enqueue(1)
            with pytest.raises(JobFailed):
                await job.result(timeout=20)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            told = [json.loads(line) for line in await lines(process)]
    failed = [line for line in told if line["level"] == "WARNING"]
    assert [(line["job"], line["job_id"]) for line in failed] == [("poison", job.id)] * 2
    (given_up,) = [line for line in told if line["level"] == "ERROR"]
    assert given_up["reason"] == "failed 3 times: ValueError: poison" and "Traceback" in given_up["error"]


def impatient(words: list[str]) -> int:
    """`trimaran work`, with little patience for threads."""
    work_process.STUCK_SECONDS = 0.5
    return work.main(words)


@pytest.mark.parametrize("server_kind", ["broker"], indirect=True)  # no server has a part in this
async def test_a_worker_with_a_thread_that_does_not_end_ends_all_the_same(client: Client, server_url: str) -> None:
    words = [PROGRAM, "--grace", "0.2", "--lease", "1", "--loop", loops.current()]
    with anyio.fail_after(40):
        async with queue.open(client), forked(impatient, [*words, "--url", server_url]) as process:
            await until_ready(client)
            job = await program.block.enqueue(60.0)
            while await job.status() is not JobState.RUNNING:
                await anyio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            # 40 s are much less than what the thread would take without an end to waiting for it
            assert await process.wait() == 1
            assert any("jobs in threads are still running" in line for line in await lines(process))
