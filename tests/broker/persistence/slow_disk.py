"""A simulated disk whose syncs end when the test says so, and clients that wait for them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from broker.persistence.files import Output
from tests.broker.inprocess import Client
from tests.broker.persistence.simulated_disk import SimulatedDisk


class SlowDisk(SimulatedDisk):
    """A disk on which the syncs of files wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.syncing = threading.Event()
        self.let_through = 0

    def append(self, path: str) -> Output:
        return self._slow(super().append(path))

    def create(self, path: str) -> Output:
        return self._slow(super().create(path))

    def create_new(self, path: str) -> Output:
        return self._slow(super().create_new(path))

    def _slow(self, output: Output) -> Output:
        sync = output.sync

        def slow() -> None:
            if self.let_through:
                self.let_through -= 1
                return sync()
            self.syncing.set()
            assert self.may_sync.wait(60)
            sync()

        output.sync = slow  # type: ignore[method-assign]
        return output

    @contextmanager
    def stopped(self, let_through: int = 0) -> Iterator[None]:
        """Meanwhile no sync ends but the first few."""
        self.let_through = let_through
        self.syncing.clear()
        self.may_sync.clear()
        try:
            yield
        finally:
            self.may_sync.set()


def reads_nothing(client: Client) -> bool:
    """Whether nothing has been sent to the client so far."""
    sock = client.stream.socket  # type: ignore[attr-defined]
    try:
        return not sock._sock.recv(100)
    except BlockingIOError:
        return True


async def held(disk: SlowDisk, writer: Client) -> None:
    """Have the client write something whose sync doesn't end; its reply is held then."""
    await writer.send("SET k v")
    assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
