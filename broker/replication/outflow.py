"""What is on its way to one replica: replies, then a snapshot from a file, then the stream.

In a connection it takes the place of the queue of replies. The stream's bytes are not in it: it reads them where they
are, in the history's blocks, so replicas that lag take no memory of their own. Nor is the snapshot: the system copies
it from the file to the socket, unless the connection is encrypted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from broker.clients.backlog import SENT_AT_ONCE, Backlog
from broker.replication.history import History, Reader

FILE_PIECE: Final = 256 << 10
"""Bytes of a file passed on at once, so that a tick which sends to several replicas stays short."""


class SnapshotFile:
    """A file that several replicas are sent; it is closed when the last has it, or has left."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._users = 0

    def use(self) -> None:
        """Keep the file open until the matching `release`."""
        self._users += 1

    def release(self) -> None:
        """One user less; the last closes the file."""
        self._users -= 1
        if not self._users:
            os.close(self.descriptor)


class Outflow(Backlog):
    """The output of one replica.

    `size` is what could be sent now. The stream is sent from `reader`'s place on, once there is one and no file is left
    to send; `sent` counts the bytes of file and stream. `socket` is the descriptor to which the system may copy a file,
    -1 for an encrypted connection. `file_sent` is called when the replica has got the whole file.
    """

    def __init__(self, history: History, socket: int, file_sent: Callable[[], None]) -> None:
        super().__init__()
        self.eager = True
        self.sent = 0
        self.reader: Reader | None = None
        self.streaming = False
        self._history = history
        self._socket = socket
        self._file_sent = file_sent
        self._control = bytearray()
        self._file: SnapshotFile | None = None
        self._file_at = 0
        self._file_end = 0

    # What is to be sent

    def begin(self, data: bytes, sent: int) -> None:
        self.append(data[sent:])

    def append(self, data: bytes) -> None:
        """Queue bytes, which go before everything that isn't a reply."""
        self._control += data
        self.update()

    def follow(self, reader: Reader) -> None:
        """Send the stream from there on, once `start_stream` is called."""
        self.reader = reader

    def start_stream(self) -> None:
        """Send the stream from now on."""
        self.streaming = True
        self.update()

    def send_file(self, file: SnapshotFile, size: int) -> None:
        """Send so many bytes of this file, and then the stream."""
        file.use()
        self._file, self._file_at, self._file_end = file, 0, size
        self.update()

    def update(self) -> None:
        """Bring `size` up to date."""
        size = len(self._control) + self._file_end - self._file_at
        if self.streaming:
            size += self.behind()
        self.size = size

    def behind(self) -> int:
        """The bytes of the stream that the replica has not been sent."""
        reader = self.reader
        if reader is None:
            return 0
        end: int = self._history.offset
        place: int = reader.offset
        return end - place

    def limited(self) -> int:
        return len(self._control) + self.behind()

    def pieces(self) -> int:
        return (1 if self._control else 0) + (1 if self.behind() else 0)

    # Sending

    def send(self, transmit: Callable[[bytes | bytearray | memoryview], int]) -> int:
        total = 0
        try:
            while total < SENT_AT_ONCE:
                if self._control:
                    data = bytes(self._control)
                    taken = transmit(data)
                    del self._control[:taken]
                    whole = taken == len(data)
                elif self._file is not None:
                    taken = self._send_piece(transmit)
                    whole = taken > 0
                elif self.streaming:
                    part: bytes | memoryview = self.reader.part()  # type: ignore[union-attr]
                    if not part:
                        break
                    taken = transmit(part)
                    self.reader.advance(taken)  # type: ignore[union-attr]
                    self.sent += taken
                    whole = taken == len(part)
                else:
                    break
                total += taken
                if not whole:
                    break
        except BlockingIOError:
            pass
        self.update()
        return total

    def _send_piece(self, transmit: Callable[[bytes | bytearray | memoryview], int]) -> int:
        """Send the file's next part; returns the number of bytes taken."""
        file = self._file
        assert file is not None
        count = min(FILE_PIECE, self._file_end - self._file_at)
        taken = 0
        if count:
            if self._socket >= 0:
                taken = os.sendfile(self._socket, file.descriptor, self._file_at, count)
            else:
                taken = transmit(os.pread(file.descriptor, count, self._file_at))
            self._file_at += taken
            self.sent += taken
        if self._file_at == self._file_end:
            self._drop_file()
            self.streaming = True
            self._file_sent()
        return taken

    def _drop_file(self) -> None:
        file, self._file = self._file, None
        self._file_at = self._file_end = 0
        if file is not None:
            file.release()

    def clear(self) -> None:
        self._control.clear()
        self._drop_file()
        self.reader = None
        self.streaming = False
        self.size = 0
