"""Trimaran's server: a message broker that speaks the Redis protocol.

    async with broker.open_broker() as server:      # in any Trio program or test, without a port
        stream = await server.connect()             # a client's byte stream

A map, from the wire inwards; imports run one way, from the end of this list to its start:

values/         one data structure a file: list, hash, set, sorted set, stream
keyspace.py     the databases, expiry, and the one way to change a key
blocking.py     clients that wait for keys;  pubsub.py  channels;  events.py  keyspace events
commands/       one family a file: a command is one decorated function (registry.py)
dispatch.py     request -> checks -> command -> reply
tick.py         poll -> read -> execute -> journal -> write;  connection.py  one client's buffers
core.py         the parts of one broker;  server.py  listeners, tasks, start and stop
config/ cli.py log.py   redis.conf and CONFIG, the command line, the log
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.server import Server as Server
    from broker.server import open_broker as open_broker

__all__ = ["Server", "open_broker"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import broker.values.streams.stream` must not pull the whole server in.
    if name in __all__:
        from broker import server

        return getattr(server, name)
    raise AttributeError(f"module 'broker' has no attribute {name!r}")
