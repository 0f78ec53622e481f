"""Metrics pushed from a running console to a collector."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import coredis
import pytest

from consumers.addresses import with_credentials
from consumers.console.asking import ask
from consumers.console.metrics import catalogue, push
from consumers.console.metrics.otlp import Exporter
from consumers.console.metrics.settings import Settings
from tests.consumers.console.consoles import Browser, open_console
from tests.consumers.console.metrics.collector import Collector, collector
from tests.consumers.servers import RedisServer
from tests.oracle.servers import find_reference, find_valkey

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]

AWAY = "redis://127.0.0.1:1"
NEVER = 3600.0


def every(seconds: float, there: Collector, timeout: float = 30.0) -> Settings:
    return Settings(f"{there.url}/v1/metrics", seconds, timeout)


def program_of(kind: str) -> Path:
    try:
        return find_valkey()[0] if kind == "Valkey" else find_reference()[0]
    except Exception:
        pytest.skip(f"no server of {kind}")


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.005)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The exporter tries once, the console logs everything, and its end leaves a slow machine time."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    monkeypatch.setattr(push, "LAST_SECONDS", 60.0)
    monkeypatch.setattr(push, "LAST_READ_SECONDS", 60.0)
    caplog.set_level(logging.INFO, "consumers.console")


async def test_a_push_says_what_the_server_says(client: Client, server_url: str) -> None:
    await client.xadd("orders", {"a": "b"})
    await client.xgroup_create("orders", "billing", "0")
    await client.xreadgroup("billing", "worker", {"orders": ">"})
    await client.sadd("rq:queues", ["rq:queue:mail"])
    await client.rpush("rq:queue:mail", ["1", "2"])
    begun = time.time()
    with collector() as there:
        async with open_console(server_url, push=every(0.01, there)):
            await until(lambda: there.pushed and there.pushed[-1].points("trimaran.queue.waiting"))
            await until(lambda: len(there.pushed) > 1)
    first, last = there.pushed[0], there.pushed[-1]
    assert last.path == "/v1/metrics"
    assert last.value("trimaran.up") == 1
    assert last.value("trimaran.keys", database="0") == 3
    assert last.value("trimaran.stream.entries", stream="orders") == 1
    group = {"stream": "orders", "group": "billing"}
    assert (last.value("trimaran.group.pending", **group), last.value("trimaran.group.consumers", **group)) == (1, 1)
    assert last.value("trimaran.queue.waiting", library="rq", queue="mail") == 2
    assert last.value("trimaran.left_out", kind="queues") == 0
    assert last.resource["service.name"] == "trimaran" and last.resource["service.version"]
    port = server_url.rpartition(":")[2].partition("/")[0]
    assert last.resource["service.instance.id"].endswith(f":{port}")
    [before], [commands] = first.points("trimaran.commands"), last.points("trimaran.commands")
    assert commands.as_int > 0 and commands.start_time_unix_nano == before.start_time_unix_nano
    assert 0 < commands.start_time_unix_nano <= commands.time_unix_nano
    assert begun * 1e9 <= commands.time_unix_nano <= time.time() * 1e9


async def test_the_end_pushes_once_more(client: Client, server_url: str) -> None:
    with collector() as there:
        async with open_console(server_url, push=every(NEVER, there)):
            await until(lambda: there.pushed)
            await client.set("late", "1")
        assert [one.value("trimaran.keys", database="0") for one in there.pushed] == [None, 1]


async def test_names_are_bounded(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "STREAMS", 3)
    for number in range(5):
        await client.xadd(f"s{number}", {"a": "b"})
    with collector() as there:
        async with open_console(server_url, push=every(0.01, there)):
            await until(lambda: there.pushed and there.pushed[-1].points("trimaran.stream.entries"))
    assert len(there.pushed[-1].points("trimaran.stream.entries")) == 3
    assert there.pushed[-1].value("trimaran.left_out", kind="streams") == 2


async def test_a_server_that_refuses_is_up(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await ask(client, [(b"ACL", b"SETUSER", b"nobody", b"on", b">secret", b"+client", b"+ping")])
    try:
        with collector() as there:
            async with open_console(with_credentials(server_url, "nobody", "secret"), push=every(0.01, there)):
                await until(lambda: len(there.pushed) > 2)
    finally:
        await ask(client, [(b"ACL", b"DELUSER", b"nobody")])
    assert all(one.value("trimaran.up") == 1 and len(one.metrics) == 1 for one in there.pushed)
    [line] = [one for one in caplog.messages if "can't be read" in one]
    assert line.startswith("the server's figures can't be read: ") and "permissions" in line


@pytest.mark.parametrize("kind", ["Redis", "Valkey"])
async def test_a_server_that_goes_away_is_down_until_it_returns(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server = RedisServer(program_of(kind))
    try:
        server.start()
        with collector() as there:
            async with open_console(server.url, push=every(0.01, there)):
                await until(lambda: there.pushed and there.pushed[-1].value("trimaran.up") == 1)
                first = there.pushed[-1]
                server.kill()
                await until(lambda: there.pushed[-1].value("trimaran.up") == 0)
                assert there.pushed[-1].resource == first.resource and not there.pushed[-1].points("trimaran.commands")
                server.start()
                await until(lambda: there.pushed[-1].value("trimaran.up") == 1)
                second = there.pushed[-1]
    finally:
        server.stop()
    assert first.resource["trimaran.server.kind"] == kind
    starts = [one.points("trimaran.commands")[0].start_time_unix_nano for one in (first, second)]
    assert starts[0] != starts[1], "the counters have begun again"
    assert [one.partition(":")[0] for one in caplog.messages if "figures" in one] == [
        "the server's figures can't be read", "the server's figures are read again",
    ]  # fmt: skip


async def test_a_collector_that_goes_and_returns(caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> list[str]:
        return [one for one in caplog.messages if "metrics" in one]

    with collector() as there:
        pass
    settings = every(0.01, there)
    settings = replace(settings, endpoint=f"{settings.endpoint}?key=secret")
    async with open_console(AWAY, push=settings):
        await until(lambda: len(lines()) > 1)
        with collector(there.port) as again:
            await until(lambda: len(again.pushed) > 2)
            again.status = 503
            await until(lambda: len(lines()) > 3)
            asked = again.asked
            await until(lambda: again.asked > asked + 2)
            again.status = 200
            await until(lambda: len(lines()) > 4)
            again.pushed.clear()
            await until(lambda: len(again.pushed) > 2)
    place = f"{there.url}/v1/metrics?..."
    assert lines()[:5] == [
        f"metrics are pushed to {place} every 0.01 seconds",
        f"metrics can't be pushed to {place}: Connection refused",
        f"metrics are pushed to {place} again",
        f"metrics can't be pushed to {place}: 503 Service Unavailable",
        f"metrics are pushed to {place} again",
    ]
    assert not [one for one in caplog.records if one.name.startswith("opentelemetry")]


async def test_nothing_waits_for_a_slow_collector(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    with collector() as there:
        there.answering.clear()
        async with open_console(AWAY, push=every(0.001, there, timeout=0.05)) as app, Browser(app) as browser:
            await until(lambda: there.asked)
            for _ in range(20):
                assert (await browser.get("/static/console.css")).status_code == 200
            await until(lambda: any("no answer within 0.05 seconds" in one for one in caplog.messages))
            for _ in range(20):
                assert (await browser.get("/static/console.css")).status_code == 200
            assert there.asked == 1, "the one that was given up still goes on"
            there.answering.set()
            await until(lambda: len(there.pushed) > 2)
    assert len([one for one in caplog.messages if "can't be pushed" in one]) == 1


async def test_the_end_does_not_wait_for_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "LAST_SECONDS", 0.05)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
    with collector() as there:
        there.answering.clear()
        with anyio.fail_after(60):
            async with open_console(AWAY, push=every(NEVER, there)):
                await until(lambda: there.asked)


async def test_a_fault_of_the_exporter_does_not_end_the_console(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(self: Exporter, data: object) -> str:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Exporter, "export", export)
    with collector() as there:
        async with open_console(AWAY, push=every(0.01, there)) as app, Browser(app) as browser:
            await until(lambda: any(one.endswith("/v1/metrics: a fault") for one in caplog.messages))
            assert (await browser.get("/health")).status_code == 503


async def test_a_fault_of_a_reader_does_not_end_the_console(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(viewpoint: object, wait: float) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(push, "read", read)
    with collector() as there:
        async with open_console(AWAY, push=every(0.01, there)) as app, Browser(app) as browser:
            await until(lambda: len(there.pushed) > 1)
            assert (await browser.get("/health")).status_code == 503
    assert "reading the metrics has failed" in caplog.messages
