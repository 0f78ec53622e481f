"""TLS handshakes in progress: clients that are not yet clients.

A handshake costs up to some milliseconds of arithmetic, and anyone who can connect may begin one. So only a few steps
are taken per tick, all of them must be over in time, and there is a limit on how many are open.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from broker.broker import Broker
from broker.network.tick import Tick
from broker.network.tls import TlsEndpoint
from broker.process.poller import READABLE, WRITABLE
from broker.process.timers import Timer

STEPS_PER_TICK: Final = 2
"""Steps of handshakes per tick; with a 2048-bit RSA key one takes about a millisecond, with an elliptic curve 0.2. The
poller reports the others again."""

DEADLINE_MS: Final = 10_000
"""Milliseconds that a handshake may take."""

OPEN_MAX: Final = 1_000
"""Handshakes in progress, or half of maxclients if that is fewer. Beyond, the oldest is given up for the newest:
whoever wants to complete a handshake does so long before a flood has made it the oldest."""


class _Handshake:
    __slots__ = ("endpoint", "fd", "peer", "sock", "timer", "writing")

    def __init__(self, sock: socket.socket, peer: bytes, endpoint: TlsEndpoint) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.endpoint = endpoint
        self.writing = False
        self.timer: Timer | None = None


class Handshakes:
    """The handshakes of a broker's future clients; `complete` is called with each client whose handshake is over."""

    def __init__(
        self, broker: Broker, tick: Tick, complete: Callable[[socket.socket, bytes, TlsEndpoint], None]
    ) -> None:
        self._broker = broker
        self._tick = tick
        self._complete = complete
        # By descriptor, in the order in which they began.
        self._open: dict[int, _Handshake] = {}
        self._counted_tick = 0
        self._steps_left = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, sock: socket.socket, peer: bytes, endpoint: TlsEndpoint) -> None:
        """Start a handshake on an accepted, non-blocking socket."""
        if len(self._open) >= max(1, min(OPEN_MAX, self._broker.config.maxclients // 2)):
            self._fail(next(iter(self._open.values())), "too many handshakes in progress")
        handshake = _Handshake(sock, peer, endpoint)
        self._open[handshake.fd] = handshake
        handshake.timer = self._broker.deadlines.after(DEADLINE_MS, partial(self._fail, handshake, "it takes too long"))
        self._tick.watches.watch(handshake.fd, partial(self._continue, handshake))

    def close(self) -> None:
        """Give up all handshakes."""
        for handshake in list(self._open.values()):
            self._end(handshake)
            handshake.sock.close()

    def _continue(self, handshake: _Handshake) -> None:
        """Take the next step, unless the tick has had enough of them: then the poller reports the socket again."""
        if self._tick.number != self._counted_tick:
            self._counted_tick = self._tick.number
            self._steps_left = STEPS_PER_TICK
        if not self._steps_left:
            return
        self._steps_left -= 1
        endpoint = handshake.endpoint
        try:
            complete = endpoint.shake_hands()
        except OSError as problem:
            self._fail(handshake, str(problem))
            return
        if complete:
            self._end(handshake)
            self._complete(handshake.sock, handshake.peer, endpoint)
        elif endpoint.is_full != handshake.writing:
            handshake.writing = endpoint.is_full
            self._tick.watches.poller.modify(handshake.fd, WRITABLE if handshake.writing else READABLE)

    def _end(self, handshake: _Handshake) -> None:
        del self._open[handshake.fd]
        self._tick.watches.unwatch(handshake.fd)
        if handshake.timer is not None:
            handshake.timer.cancel()

    def _fail(self, handshake: _Handshake, reason: str) -> None:
        self._end(handshake)
        self._broker.log.verbose(
            "Error accepting a client connection", reason=reason, addr=handshake.peer.decode(errors="replace")
        )
        handshake.sock.close()
