"""`appendfsync always` on a quick disk: the tick itself syncs, and nothing that was promised changes."""

import errno
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker import open_broker
from broker.persistence.files import Output
from broker.persistence.journal import Journal
from broker.persistence.syncing import QUICK_SECONDS
from tests.broker.inprocess import Broker
from tests.broker.persistence.test_journal_faults import BROKEN


@asynccontextmanager
async def on_a_quick_disk(folder: Path) -> AsyncIterator[tuple[Broker, Journal]]:
    """A broker whose last sync was quick; some machine's real disk may be slow."""
    directives = {"dir": str(folder), "save": "", "appendonly": "yes", "appendfsync": "always"}
    async with open_broker(directives) as server:
        broker = Broker(server)
        journal = server.broker.persistence.journal
        client = await broker.client()
        await client.call("SET first 1")
        journal._measured(QUICK_SECONDS / 2)
        yield broker, journal
        for client in broker.clients:
            await client.stream.aclose()


def counted(monkeypatch: pytest.MonkeyPatch, sync: Callable[[Output], None] = Output.sync) -> list[int]:
    """The thread of each sync that is done by Python, as those in the tick are."""
    threads: list[int] = []

    def counting(file: Output) -> None:
        threads.append(threading.get_ident())
        sync(file)

    monkeypatch.setattr(Output, "sync", counting)
    return threads


async def test_a_sync_that_takes_long_hands_the_next_ones_to_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_a_quick_disk(tmp_path) as (broker, journal):
        threads = counted(monkeypatch)
        monkeypatch.setattr(journal, "_measured", lambda seconds: None)
        client = await broker.client()
        assert await client.call("SET k 1") == b"+OK\r\n"
        assert threads == [threading.get_ident()]
        assert journal.synced_position == broker.broker.keyspace.effects.position
        monkeypatch.undo()
        journal._measured(QUICK_SECONDS * 2)
        threads = counted(monkeypatch)
        assert await client.call("SET k 2") == b"+OK\r\n"
        assert threads == []
        assert journal.synced_position == broker.broker.keyspace.effects.position


async def test_clients_that_wait_for_the_disk_are_answered_in_the_same_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_a_quick_disk(tmp_path) as (broker, journal):
        monkeypatch.setattr(journal, "_measured", lambda seconds: None)
        client, other = await broker.client(), await broker.client()
        await other.send("BLPOP list 0")
        await client.stream.send_all(b"RPUSH list a\r\nWAITAOF 1 0 0\r\nSET after 1\r\n")
        assert await client.receive() == b":1\r\n"
        assert await client.receive() == b"*2\r\n:1\r\n:0\r\n"
        assert await client.receive() == b"+OK\r\n"
        assert b"a" in await other.receive()


async def test_what_a_failed_sync_was_to_cover_is_not_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Output) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with on_a_quick_disk(tmp_path) as (broker, journal):
        writer, reader = await broker.client(), await broker.client()
        assert await reader.call("GET first") == b"$1\r\n1\r\n"
        with monkeypatch.context() as failing:
            counted(failing, fail)
            await writer.send("SET k v")
            assert await writer.receive() == b""
        assert journal.acknowledged_position is None
        assert await reader.call("GET first") == b"$1\r\n1\r\n"
        assert await reader.call("SET refused 1") == BROKEN
