"""What a broker propagates, seen by a test, and done again in another broker."""

from broker import core
from broker.propagation import Effects
from tests.broker.inprocess import Broker


def journal(broker: core.Broker) -> Effects:
    """What the broker propagates from now on."""
    seen: Effects = []
    broker.keyspace.propagation.sinks.append(seen.extend)
    return seen


def lines(effects: Effects) -> list[str]:
    """Each effect as one line of text, the database left out."""
    return [b" ".join(words).decode() for _, words in effects]


async def replay(effects: Effects, broker: Broker) -> None:
    """Execute effects; none may fail."""
    client = await broker.client()
    for database, words in effects:
        assert await client.call("SELECT", database) == b"+OK\r\n"
        reply = await client.call(*words)
        assert not reply.startswith(b"-"), (words, reply)


def contents(broker: core.Broker) -> list[tuple[dict[bytes, object], dict[bytes, int]]]:
    """The keys and deadlines of all databases."""
    return [(database.data, database.expires) for database in broker.keyspace.databases]
