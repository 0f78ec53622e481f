"""Clients that behave as replicas, for brokers in the same process."""

from dataclasses import dataclass

import trio

from broker.formats.rdb.format import MAGIC
from protocol.replies import bulks
from tests.broker.inprocess import Broker
from tests.oracle.wire import encode, frame_end


@dataclass
class Synchronization:
    """What a master has answered to PSYNC: the line, and the snapshot, b"" if it continues."""

    line: bytes
    snapshot: bytes = b""

    @property
    def id(self) -> str:
        return self.line.split()[1].decode()

    @property
    def offset(self) -> int:
        return int(self.line.split()[2])


class Follower:
    """A replica by hand: `synchronize` asks with PSYNC, `words` returns the stream's commands."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()
        self.line_breaks = 0

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        assert data, "the master has closed the connection"
        self.buffer += data

    async def line(self) -> bytes:
        """The next line that isn't empty."""
        while True:
            end = self.buffer.find(b"\n")
            if end < 0:
                await self._more()
                continue
            line = bytes(self.buffer[: end + 1])
            del self.buffer[: end + 1]
            if line.strip():
                return line.strip()
            self.line_breaks += 1

    async def call(self, *words: str | bytes | int) -> bytes:
        """Send a command; its reply is a line."""
        await self.stream.send_all(encode(words))
        return await self.line()

    async def synchronize(self, id: str = "?", offset: int = -1, *settings: str) -> Synchronization:
        """PSYNC, after REPLCONF."""
        assert await self.call("REPLCONF", "listening-port", 7000, "capa", "eof", "capa", "psync2", *settings) == b"+OK"
        line = await self.call("PSYNC", id, offset)
        if not line.startswith(b"+FULLRESYNC"):
            return Synchronization(line)
        size = int((await self.line()).removeprefix(b"$"))
        while len(self.buffer) < size:
            await self._more()
        snapshot = bytes(self.buffer[:size])
        del self.buffer[:size]
        assert snapshot[:5] in (MAGIC, b"VALKE")
        return Synchronization(line, snapshot)

    async def words(self) -> list[bytes]:
        """The next command of the stream."""
        while (end := frame_end(self.buffer)) < 0:
            await self._more()
        parts = bytes(self.buffer[:end]).split(b"\r\n")
        del self.buffer[:end]
        return parts[2::2]

    async def expect(self, *commands: list[bytes]) -> None:
        """The stream goes on with these."""
        for command in commands:
            words = await self.words()
            assert words == command, (bulks(words), bulks(command))

    async def acknowledge(self, offset: int, synced: int | None = None) -> None:
        """REPLCONF ACK."""
        words = ["REPLCONF", "ACK", offset] if synced is None else ["REPLCONF", "ACK", offset, "FACK", synced]
        await self.stream.send_all(encode(words))

    async def closed(self) -> bool:
        """Whether the master closes the connection; waits for it."""
        while await self.stream.receive_some():
            pass
        return True


async def follower(broker: Broker) -> Follower:
    """A connection that becomes a replica's."""
    client = await broker.client()
    return Follower(client.stream)
