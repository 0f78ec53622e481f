"""What a broker propagates: captured by a test, and replayed in another broker."""

from typing import Any

from broker import broker as core
from broker.keyspace.effects import Unit
from broker.values.hash import Hash
from broker.values.sorted_set import SortedSet
from tests.broker.inprocess import Broker, Client, running


def journal(broker: core.Broker) -> Unit:
    """What the broker propagates from now on."""
    seen: Unit = []
    broker.keyspace.effects.sinks.append(seen.extend)
    return seen


def lines(effects: Unit) -> list[str]:
    """Each effect as one line of text, without the database."""
    return [b" ".join(words).decode() for _, words in effects]


async def effects_of(setup: list[str], command: str) -> list[str]:
    """What `command` propagates after `setup` on an empty broker."""
    async with running() as broker:
        client = await broker.client()
        for line in setup:
            assert not (await client.call(line)).startswith(b"-")
        seen = journal(broker.broker)
        await client.call(command)
        return lines(seen)


async def replay(effects: Unit, broker: Broker) -> None:
    """Execute effects; none may fail."""
    client: Client = await broker.client()
    for database, words in effects:
        assert await client.call("SELECT", database) == b"+OK\r\n"
        reply = await client.call(*words)
        assert not reply.startswith(b"-"), (words, reply)


async def replay_gives_the_same(script: list[list[str]]) -> None:
    """Run a script, replay its effects on another broker, and compare the two keyspaces."""
    async with running() as original, running() as copy:
        client = await original.client()
        seen = journal(original.broker)
        for words in script:
            await client.call(*words)
        await replay(seen, copy)
        assert contents(copy.broker) == contents(original.broker)


def contents(broker: core.Broker) -> dict[int, tuple[dict[bytes, Any], dict[bytes, int]]]:
    """The keys, in comparable form, and the deadlines of all databases that have any."""
    return {
        database.index: ({key: _plain(value) for key, value in database.data.items()}, database.expires)
        for database in broker.keyspace.databases
        if database.data
    }


def _plain(value: Any) -> Any:
    if isinstance(value, SortedSet):
        return list(value)
    return (dict(value), value.deadlines or {}) if isinstance(value, Hash) else value
