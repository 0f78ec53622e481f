"""`trimaran migrate` between real servers, while a client writes."""

import threading
from pathlib import Path

import pytest

from broker.remote import moving
from tests.oracle.wire import CLOSED, Connection
from tests.replication.nodes import Node, require

PAIRS = [("redis-7.0", "trimaran"), ("redis-8", "trimaran"), ("valkey", "trimaran"), ("trimaran", "redis-8"),
         ("trimaran", "valkey"), ("trimaran", "redis-7.0"), ("trimaran", "trimaran")]  # fmt: skip

PASSWORD = "secret"


class Writer:
    """A client that counts until it is refused; `acknowledged` is how far it came."""

    def __init__(self, node: Node) -> None:
        self._connection = Connection(("127.0.0.1", node.port))
        self._connection.call("AUTH", PASSWORD)
        self._ended = False
        self._thread = threading.Thread(target=self._write)
        self.acknowledged = 0
        self.refusal = b""
        self._thread.start()

    def _write(self) -> None:
        while not self._ended:
            reply = self._connection.call("INCR", "counter")
            if not reply.startswith(b":"):
                self.refusal = reply
                return
            self.acknowledged = int(reply[1:])
            self._connection.call("XADD", "stream", "*", "n", str(self.acknowledged))

    def end(self) -> None:
        self._ended = True
        self._thread.join()
        self._connection.close()

    def until_refused(self) -> bytes:
        """Returns the error that ended it."""
        self._thread.join(60)
        return self.refusal


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_moving_while_a_client_writes(old: str, new: str, tmp_path: Path) -> None:
    require(old, new)
    with (
        Node(old, tmp_path, requirepass=PASSWORD) as source,
        Node(new, tmp_path, requirepass=PASSWORD) as target,
    ):
        client = Connection(("127.0.0.1", source.port))
        client.call("AUTH", PASSWORD)
        for number in range(2000):
            client.call("SET", f"key:{number}", "x" * 100)
        client.call("XGROUP", "CREATE", "stream", "group", "$", "MKSTREAM")
        client.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 'moved' end)")
        writer = Writer(source)
        try:
            urls = [f"redis://:{PASSWORD}@127.0.0.1:{node.port}" for node in (source, target)]
            assert moving.main(["--from", urls[0], "--to", urls[1], "--timeout", "60"]) == 0
            refusal = writer.until_refused()
        finally:
            writer.end()
        assert refusal.startswith(b"-READONLY") or refusal == CLOSED
        moved = Connection(("127.0.0.1", target.port))
        moved.call("AUTH", PASSWORD)
        counted = moved.call("GET", "counter").split(b"\r\n")[1]
        assert int(counted) in (writer.acknowledged, writer.acknowledged + 1)  # one may not have been answered
        assert moved.call("XLEN", "stream") in (
            b":%d\r\n" % writer.acknowledged,
            b":%d\r\n" % (writer.acknowledged - 1),
        )
        assert moved.call("DBSIZE") == b":2002\r\n"
        assert moved.call("FCALL", "f", "0") == b"$5\r\nmoved\r\n"
        assert b"group" in moved.call("XINFO", "GROUPS", "stream")
        assert moved.call("SET", "key:0", "new") == b"+OK\r\n"
        assert client.call("SET", "key:0", "old").startswith(b"-READONLY")
        client.close()
        moved.close()
