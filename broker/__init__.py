"""Trimaran's server: a message broker that speaks the Redis protocol.

    async with broker.open_broker() as server:      # in any Trio program or test, without a port
        stream = await server.connect()             # a client's byte stream
    with broker.in_thread() as running:             # in any other program or test, on a port
        client = redis.Redis(port=running.port)

A map, from the outside in; each line imports only from the lines below it (docs/architecture.md):

testing/        fixtures and clients without a port;  cli.py  the program
server.py       tasks, start and stop;  network/  the tick, connections, listeners
commands/       a folder for each family: a command is one decorated function
broker.py       the parts of one broker, put together
persistence/    the journal, saves, recovery;  scripting/  Lua;  memory/  its limits
execution/      request -> checks -> command -> reply
formats/        Redis's serialisations;  clients/  sessions, blocking, subscriptions
keyspace/       databases and the one way to change a key;  table/  what commands declare
values/         one data structure per file;  config/  redis.conf;  process/  clock, timers, log
"""

import sys

if sys.orig_argv[1:3] == ["-m", "broker"] or sys.argv[0].endswith("/trimaran"):
    # This is the program that starts, not somebody's who imports it: see __main__.py, which comes a little later.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

from typing import TYPE_CHECKING, Any

import protocol as protocol  # its loader decides what runs compiled

if TYPE_CHECKING:
    from broker.server import Server as Server
    from broker.server import open_broker as open_broker
    from broker.testing.in_thread import in_thread as in_thread

__all__ = ["Server", "in_thread", "open_broker"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import broker.values.streams.stream` must not pull in the whole server.
    if name == "in_thread":
        from broker.testing.in_thread import in_thread

        return in_thread
    if name in __all__:
        from broker import server

        return getattr(server, name)
    raise AttributeError(f"module 'broker' has no attribute {name!r}")
