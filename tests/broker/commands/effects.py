"""What commands leave for the journal, and whether executing it again gives the same keyspace."""

from typing import Any

from broker.core import Broker
from broker.propagation import Effects
from broker.values.hash import Hash
from broker.values.sorted_set import SortedSet
from tests.broker.inprocess import Client, running


def journal(broker: Broker) -> Effects:
    """What the broker propagates from now on."""
    seen: Effects = []
    broker.keyspace.propagation.sinks.append(seen.extend)
    return seen


def texts(seen: Effects) -> list[str]:
    """The effects as one text a command."""
    return [b" ".join(words).decode() for _, words in seen]


async def effects_of(setup: list[str], command: str) -> list[str]:
    """What `command` propagates after `setup` on an empty broker."""
    async with running() as broker:
        client = await broker.client()
        for line in setup:
            assert not (await client.call(line)).startswith(b"-")
        seen = journal(broker.broker)
        await client.call(command)
        return texts(seen)


def contents(broker: Broker) -> dict[bytes, Any]:
    """The first database in comparable form."""
    return {key: _plain(value) for key, value in broker.keyspace.databases[0].data.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, SortedSet):
        return list(value)
    return (dict(value), value.deadlines or {}) if isinstance(value, Hash) else value


async def replay_gives_the_same(script: list[list[str]]) -> None:
    """Run a script, run its effects on another broker, and compare the two keyspaces."""
    async with running() as original, running() as copy:
        client = await original.client()
        seen = journal(original.broker)
        for words in script:
            await client.call(*words)
        other: Client = await copy.client()
        for _, effect in seen:
            assert not (await other.call(*effect)).startswith(b"-"), effect
        assert contents(copy.broker) == contents(original.broker)
