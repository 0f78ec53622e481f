"""The fixtures for users, as users run them: in a pytest of their own, without any of this project's settings."""

import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def users(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for a user's tests."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    return pytester


def run(users: pytest.Pytester, *arguments: str, without: Sequence[str] = ("asyncio",)) -> pytest.RunResult:
    """pytest in a process of its own, without these plugins; ours is named where the package is not installed."""
    installed = metadata.entry_points(group="pytest11", name="trimaran")
    return users.runpytest_subprocess(
        "-W",
        "error",
        *(() if installed else ("-p", "broker.testing.pytest_plugin")),
        *(f"-pno:{one}" for one in without),
        *arguments,
    )


def test_broker_runs_in_the_test_under_its_clock(users: pytest.Pytester) -> None:
    users.makepyfile("""
        import time
        import pytest, trio

        @pytest.mark.trio
        async def test_a_client(broker):
            async with broker.client(decode_responses=True) as client:
                assert await client.set("k", "v")
                assert await client.get("k") == "v"
            assert broker.server.port == 0

        @pytest.mark.trio
        async def test_is_empty_again(broker):
            async with broker.client() as client:
                assert await client.dbsize() == 0

        @pytest.mark.trio
        async def test_time_jumps(broker, autojump_clock):
            started = time.monotonic()
            async with broker.client() as client:
                await client.set("k", "v", ex=86400)
                await client.expireat("k", int(time.time()) + 7200)
                assert 7100 < await client.ttl("k") <= 7200
                assert await client.blpop(["jobs"], timeout=7300) is None
                assert await client.get("k") is None
            assert time.monotonic() - started < 60

        @pytest.mark.trio
        @pytest.mark.broker(maxmemory="10mb", maxmemory_policy="allkeys-lru")
        async def test_directives(broker):
            async with broker.client(decode_responses=True) as client:
                values = await client.config_get(["maxmemory", "maxmemory-policy"])
                assert values == {"maxmemory": "10485760", "maxmemory-policy": "allkeys-lru"}

        @pytest.mark.trio
        async def test_a_stream_of_bytes(broker):
            async with await broker.connect() as stream:
                await stream.send_all(b"PING\\r\\n")
                assert await stream.receive_some() == b"+PONG\\r\\n"
    """)
    run(users, "--strict-markers").assert_outcomes(passed=5)


def test_broker_on_port_serves_other_clients(users: pytest.Pytester) -> None:
    users.makepyfile("""
        import pytest, redis

        def client(broker_on_port):
            return redis.Redis(host=broker_on_port.host, port=broker_on_port.port, protocol=2)

        def test_a_synchronous_client(broker_on_port):
            with client(broker_on_port) as connected, redis.Redis.from_url(broker_on_port.url, protocol=2) as other:
                connected.set("k", "v")
                assert other.get("k") == b"v"

        def test_is_empty_again(broker_on_port):
            with client(broker_on_port) as connected:
                assert connected.dbsize() == 0

        @pytest.mark.broker(databases=3)
        def test_directives(broker_on_port):
            with client(broker_on_port) as connected:
                assert connected.config_get("databases") == {"databases": "3"}
    """)
    run(users).assert_outcomes(passed=3)


JOBS = """
from consumers.jobs import Queue, Worker

queue = Queue("q")

@queue.job()
async def add(a: int, b: int) -> int:
    return a + b
"""


def test_plain_tests_need_no_plugin(users: pytest.Pytester) -> None:
    users.makepyfile(
        app=JOBS,
        test_jobs="""
        import asyncio
        from app import Worker, add, queue

        def test_enqueueing(broker_for_session):
            with queue.sync.open(broker_for_session.url):
                assert add.sync.enqueue(1, 2).created

        def test_the_others_keys_are_there(broker_for_session):
            with queue.sync.open(broker_for_session.url):
                assert queue.sync.run(queue.counts).waiting == 1

        def test_a_job(broker_on_port):
            async def main():
                async with queue.open(broker_on_port.url), Worker(queue).open():
                    return await (await add.enqueue(1, 2)).result(timeout=30)

            assert asyncio.run(main()) == 3
    """,
    )
    run(users, without=("trio", "asyncio", "anyio")).assert_outcomes(passed=3)


def test_asynchronous_fixtures_of_anyios_plugin(users: pytest.Pytester) -> None:
    users.makepyfile(
        app=JOBS,
        test_jobs="""
        import pytest
        from app import Worker, add, queue

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture
        async def working(broker_on_port):
            async with queue.open(broker_on_port.url), Worker(queue).open():
                yield

        @pytest.mark.anyio
        async def test_a_job(working):
            assert await (await add.enqueue(1, 2)).result(timeout=30) == 3
    """,
    )
    run(users, without=("trio", "asyncio")).assert_outcomes(passed=2)


def test_with_pytest_asyncio_the_test_opens_the_queue(users: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    users.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    users.makepyfile(
        app=JOBS,
        test_jobs="""
        from app import Worker, add, queue

        async def test_a_job(broker_on_port):
            async with queue.open(broker_on_port.url), Worker(queue).open():
                assert await (await add.enqueue(1, 2)).result(timeout=30) == 3

        async def test_on_the_sessions_broker(broker_for_session):
            async with queue.open(broker_for_session.url):
                assert (await add.enqueue(1, 2)).created
    """,
    )
    run(users, without=("trio",)).assert_outcomes(passed=2)


def test_a_directive_that_is_refused_fails_the_test(users: pytest.Pytester) -> None:
    users.makepyfile("""
        import pytest

        @pytest.mark.broker(maxmemory="much")
        def test_it(broker_on_port):
            pass
    """)
    result = run(users)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*argument must be a memory value*"])


def test_a_fixture_of_the_users_own_comes_first(users: pytest.Pytester) -> None:
    users.makepyfile("""
        import pytest

        @pytest.fixture
        def broker():
            return "mine"

        def test_it(broker):
            assert broker == "mine"
    """)
    run(users).assert_outcomes(passed=1)


def test_a_run_that_does_not_use_it_imports_nothing_more(users: pytest.Pytester) -> None:
    users.makepyfile("""
        import sys

        def test_it():
            assert not {"broker.server", "broker.broker", "broker.testing.in_process"} & set(sys.modules)
    """)
    run(users).assert_outcomes(passed=1)
