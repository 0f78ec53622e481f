"""Background saves and rewrites of a server, and waiting until they are over.

Two servers serve all oracle tests, and FLUSHALL, which each of them begins with, kills a save without waiting for its
end. SAVE and BGSAVE are refused until then, so a test that compares them must find both quiet and leave them so.
"""

import time

from tests.oracle import servers
from tests.oracle.wire import Connection

__all__ = ["rewrite", "until", "until_quiet"]

SECONDS = 60.0


def until(connection: Connection, *lines: str) -> None:
    """Wait until INFO persistence has these lines, as far as this server knows their fields."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        info = connection.call("INFO", "persistence")
        if all(line.encode() in info for line in lines if line.split(":")[0].encode() in info):
            return
        time.sleep(0.02)
    raise AssertionError(info.decode())


def until_quiet() -> None:
    """Wait until neither of the servers that serve all tests has a child process, or will start one on its own.

    A save that BGSAVE SCHEDULE has put off is in no field of INFO: the test that asked for it waits for what it does.
    """
    for server in (servers.reference(), servers.broker()):
        connection = server.connect()
        try:
            assert connection.call("CONFIG", "SET", "save", "") == b"+OK\r\n"
            until(connection, "rdb_bgsave_in_progress:0", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0")
        finally:
            connection.close()


def rewrite(connection: Connection) -> None:
    """Rewrite the server's append-only file, and wait until that has succeeded."""
    assert connection.call("BGREWRITEAOF").startswith(b"+Background append only file rewriting")
    until(connection, "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0")
    assert b"aof_last_bgrewrite_status:ok" in connection.call("INFO", "persistence")
