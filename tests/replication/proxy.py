"""A TCP proxy that fails as networks do: it cuts, refuses, falls silent, or ends a connection after so many bytes."""

import contextlib
import socket
import threading
from types import TracebackType

__all__ = ["Proxy"]


class Proxy:
    """Listens on a port of 127.0.0.1 within its block, and passes everything on to another one.

    `requests` and `replies` are the bytes passed on so far, towards the server and back, over all connections.
    """

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.refusing = False
        """New connections are closed at once."""
        self.requests = self.replies = self.connections = 0
        self.cut_after: int | None = None
        """A connection ends once this many of the server's bytes have been passed on to the client."""
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refusing = True
        # a thread that waits in accept() doesn't notice close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.heal()

    # Faults

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            ending = list(self._open)
        for sock in ending:
            _end(sock)

    def hold(self) -> None:
        """Pass nothing on, and keep everything open: packets are lost."""
        self._flowing.clear()

    def heal(self) -> None:
        """End of `hold`: what was on its way arrives."""
        self._flowing.set()

    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    # Passing on

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                _end(near)
                near.close()
            else:
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self.connections += 1
        with self._lock:
            self._open.add(near)
        self._flowing.wait()
        try:
            far = socket.create_connection(self._target, timeout=30)
        except OSError:
            self._close(near)
            return
        far.settimeout(None)
        with self._lock:
            self._open.add(far)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        other = threading.Thread(target=self._pass_requests, args=(near, far), daemon=True)
        other.start()
        self._pass_replies(far, near)
        other.join()
        self._close(near)
        self._close(far)

    def _pass_requests(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 16):
                self._flowing.wait()
                self.requests += len(data)
                far.sendall(data)
        _end(near)
        _end(far)

    def _pass_replies(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                self._flowing.wait()
                limit = self.cut_after
                if limit is not None and passed + len(data) > limit:
                    near.sendall(data[: limit - passed])
                    break
                passed += len(data)
                self.replies += len(data)
                near.sendall(data)
        _end(near)
        _end(far)

    def _close(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)
        sock.close()


def _end(sock: socket.socket) -> None:
    """Shut down both directions: a thread that waits for the socket returns from its call."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
