"""The tick: poll -> read -> execute -> journal -> write, for every client that is ready.

One Trio task owns all client sockets through a nested poller. A wake-up serves all clients that are ready; their
effects go to the journal together, and each client gets all its replies in one send. One Trio task per client reached
0.25 to 0.45 of redis-server's throughput; this reaches 0.8 to 0.95.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import trio

from broker.broker import Broker
from broker.clients.session import CLOSING, HELD, STOPPED, Session
from broker.network.connection import Connection
from broker.network.tls import TlsEndpoint
from broker.process.poller import GONE, PEER_CLOSED, READABLE, WRITABLE, Watches
from protocol.replies import error
from protocol.requests import ProtocolError

TURN_MS: Final = 5
"""Milliseconds for which ticks may follow each other before Trio's other tasks get a turn. A Trio wake-up costs as much
as several requests, so under load not every tick can pay for one, but timers must still fire within 10 ms."""

LINGER_MS: Final = 1
"""Milliseconds that a turn waits in the kernel for further requests before it ends: a client that has got its reply
usually sends its next request within that time, and a poll that waits costs far less than a Trio wake-up. A broker that
shares Trio's loop with its clients must not wait, because they could not send anything in the meantime."""

_LISTENING: Final = READABLE | PEER_CLOSED
"""The poller's mask for a client that is waiting for nothing."""


class Tick:
    """All connections of a broker, served together.

    While a client's last write is beyond the journal's acknowledged position, its replies are held. `watches` are
    served along with the clients, by the same poller. `number` counts the ticks.
    """

    def __init__(self, broker: Broker, watches: Watches, linger_ms: int = 0) -> None:
        """`linger_ms` is LINGER_MS if nothing else runs in this thread, and 0 while other tasks share Trio's loop."""
        self.number = 0
        self.linger_ms = linger_ms
        self._broker = broker
        self.watches = watches
        self._dispatcher = broker.dispatcher
        self._stats = broker.stats
        self._eviction = broker.eviction
        self._latency = broker.latency
        self._delayed = broker.delayed
        self._poller = watches.poller
        self._connections: dict[int, Connection] = {}
        self._listeners: dict[int, tuple[socket.socket, Callable[[socket.socket], None]]] = {}
        self._watched = watches.calls
        self._to_close: list[Connection] = []
        self._overfull: dict[Connection, None] = {}
        self._resume_scheduled = False
        self._held: dict[Connection, None] = {}
        self._tracking = broker.tracking
        self._feed = broker.feed
        self._streamable = broker.feed.pending
        self._replica_waits = broker.replica_waits
        self._asking = broker.replica_waits.asking
        self._acknowledgements = broker.replicas.acknowledgements
        self._journal = broker.persistence.journal
        self._journal.on_progress(self._journal_progressed)

    # Listeners and connections

    def listen(self, listener: socket.socket, accept: Callable[[socket.socket], None]) -> None:
        """Call `accept(listener)` in the tick whenever the listener has a pending connection."""
        self._listeners[listener.fileno()] = (listener, accept)
        self._poller.register(listener.fileno(), READABLE)

    def stop_listening(self, listener: socket.socket) -> None:
        """Accept no more clients on this socket, if it is being listened to; the caller closes it."""
        if self._listeners.pop(listener.fileno(), None) is not None:
            self._poller.unregister(listener.fileno())

    def adopt(self, sock: socket.socket, peer: bytes, endpoint: TlsEndpoint | None = None) -> Connection:
        """Start serving a connected socket; `endpoint` is given if it is encrypted."""
        sock.setblocking(False)
        connection = Connection(self._broker, sock, peer, self._to_close.append, endpoint)
        self._connections[connection.fd] = connection
        connection.mask = _LISTENING
        self._poller.register(connection.fd, connection.mask)
        return connection

    def serve_received(self, connection: Connection) -> None:
        """Serve what the connection's endpoint has received already, which no poller reports."""
        try:
            self._read(connection)
        except Exception as defect:
            self._broker.log.failure("serving a client failed unexpectedly", defect)
            self.close(connection)

    def connections(self) -> list[Connection]:
        """All open connections."""
        return list(self._connections.values())

    def close(self, connection: Connection) -> None:
        """Close a connection and forget its client."""
        if self._connections.get(connection.fd) is not connection:
            return  # already closed; its descriptor may belong to another client by now
        del self._connections[connection.fd]
        self._poller.unregister(connection.fd)
        # The socket first: after a last reply, the client is waiting for the connection to close.
        session = connection.session
        connection.release()
        self._held.pop(connection, None)
        self._broker.close_session(session)

    # Running

    async def run(self) -> None:
        """Serve until cancelled."""
        poll = self._poller.poll
        clock = self._broker.clock
        stats = self._stats
        while True:
            await trio.lowlevel.wait_readable(self._poller.fileno())
            turn_ends = clock.update() + TURN_MS
            events = poll(0)
            while events:
                reads = stats.reads
                began = clock.stopwatch() if self._latency.threshold else 0.0
                self.begin()
                self._serve(events)
                self.finish()
                if began:
                    self._latency.add("tick", (clock.stopwatch() - began) * 1000)
                stats.cycles += 1
                if stats.reads != reads:
                    stats.busy_cycles += 1
                if clock.now >= turn_ends:
                    break
                events = poll(self.linger_ms)
            self._journal.end_turn()

    def begin(self) -> None:
        """Advance the clock, and do what is due before any request sees it: expired and evicted keys are removed, and
        delayed entries added to their streams."""
        keyspace = self._broker.keyspace
        now = self._broker.clock.update()
        if now > keyspace.next_deadline and not self._broker.state.loading:
            self._latency.measure("expire-cycle", keyspace.expire_due)
            if keyspace.ready:
                self._broker.blocking.serve()
        if now >= self._delayed.next_due:
            self._delayed.add_due()
            if keyspace.ready:
                self._broker.blocking.serve()
        if now >= self._eviction.check_at:
            self._eviction.check()

    def finish(self) -> None:
        """Run resumed clients' requests, hand the effects to the journal, send all replies, close connections."""
        broker = self._broker
        if self._acknowledgements:
            self._replica_waits.serve()
        if broker.resumed:
            self._resume()
        if self._tracking.announcing:
            self._tracking.broadcast()
        self._journal.end_tick()
        while broker.resumed:  # those for whose writes it has waited for the disk
            self._resume()
            self._journal.end_tick()
        if self._streamable or self._asking:
            self._replica_waits.ask()
            self._feed.flush()
        acknowledged, to_close = self._journal.acknowledged_position, self._to_close
        while broker.outbox:
            outbox, broker.outbox = broker.outbox, []
            for session in outbox:
                session.in_outbox = False
                connection = session.transport
                if not isinstance(connection, Connection):
                    continue  # closed meanwhile
                if acknowledged is not None and session.last_write_position > acknowledged:
                    self._hold(connection)
                elif not connection.flush():
                    self.close(connection)
                elif connection.backlog.size:
                    self._watch(connection)
                elif to_close and session.flags & CLOSING:
                    # Immediately after its last reply, because sending the other clients' replies takes time.
                    self.close(connection)
        if self._overfull and not self._resume_scheduled:
            # They continue once Trio's other tasks and other clients have had a turn.
            self._resume_scheduled = True
            broker.deadlines.after(0, self._run_scheduled_resume)
        while to_close:
            connection = to_close.pop()
            if not (connection.backlog.size or connection.session.flags & HELD):
                self.close(connection)

    def _hold(self, connection: Connection) -> None:
        """Hold the client's replies until its last write is acknowledged; until then nothing more is read from it.

        The poller's mask is changed only if an event comes, which usually saves two system calls.
        """
        session = connection.session
        if not (session.flags & HELD or connection.backlog.size):
            session.flags |= HELD
            self._held[connection] = None
            return
        # Messages to a client that is already held, or a reply behind others that its socket did not take.
        session.flags |= HELD
        self._held[connection] = None
        if connection.keep():
            self._watch(connection)
        else:
            self.close(connection)

    def _journal_progressed(self) -> None:
        """More is on the disk, or nothing ever will be: release the held replies, or close their connections."""
        if self._journal.sync_error is not None:
            self.abandon()
        else:
            self.release()

    def release(self) -> None:
        """Send the replies that were held for writes that are now acknowledged."""
        acknowledged = self._journal.acknowledged_position
        held, self._held = self._held, {}
        for connection in held:
            session = connection.session
            if acknowledged is not None and session.last_write_position > acknowledged:
                self._held[connection] = None
                continue
            session.flags &= ~HELD
            if not connection.flush():
                self.close(connection)
            elif connection.waiting or connection.refused:
                self._drained(connection, resume=True)
            elif connection.backlog.size or session.flags & STOPPED or connection.mask != _LISTENING:
                self._drained(connection)

    def abandon(self) -> None:
        """Close the connections whose replies are held, or would be at the end of this tick.

        There is no way to learn whether their writes are on the disk.
        """
        for connection in list(self._held):
            self.close(connection)
        acknowledged = self._journal.acknowledged_position
        for session in self._broker.outbox:
            transport = session.transport
            unacknowledged = acknowledged is not None and session.last_write_position > acknowledged
            if unacknowledged and isinstance(transport, Connection):
                self.close(transport)

    def serve_while_busy(self, caller: Session) -> None:
        """During a long request (a slow script), serve all clients except its own, and send their replies.

        What was executed before it in this tick goes to the journal first, as at the end of a tick. The caller's own
        events are left for later.
        """
        connection = caller.transport
        assert isinstance(connection, Connection)
        events = [(fd, mask) for fd, mask in self._poller.poll(0) if fd != connection.fd]
        if events:
            self._serve(events)
        self._overfull.pop(connection, None)
        self._resume_overfull()
        self.finish()
        self._journal.end_turn()

    def shutdown(self) -> None:
        """Close all connections, after a last attempt to send what is queued."""
        self.finish()
        for connection in self.connections():
            self.close(connection)
        self._poller.close()

    def _serve(self, events: list[tuple[int, int]]) -> None:
        self.number += 1
        connections = self._connections
        if self._broker.blocking.sessions:
            self._close_hung_up(events)
        listeners_ready = None
        for fd, mask in events:
            connection = connections.get(fd)
            try:
                if connection is None:
                    if fd in self._listeners:
                        listeners_ready = listeners_ready or []
                        listeners_ready.append(fd)
                    elif fd in self._watched:
                        self._watched[fd]()
                elif mask == READABLE:
                    self._read(connection)
                else:
                    self._serve_other(connection, mask)
            except Exception as defect:
                # Whatever goes wrong with one client, keep serving the others.
                self._broker.log.failure("serving a client failed unexpectedly", defect)
                if connection is not None:
                    self.close(connection)
        if listeners_ready:
            # Last, because a new client may get the descriptor of one closed above whose events are in the list.
            self._accept(listeners_ready)

    def _accept(self, listeners_ready: list[int]) -> None:
        for fd in listeners_ready:
            if fd in self._listeners:
                listener, accept = self._listeners[fd]
                try:
                    accept(listener)
                except Exception as defect:
                    self._broker.log.failure("accepting a client failed unexpectedly", defect)

    def _close_hung_up(self, events: list[tuple[int, int]]) -> None:
        """Close waiting clients that have disconnected, before any request of this tick can serve them."""
        for fd, mask in events:
            if mask & GONE:
                connection = self._connections.get(fd)
                if connection is not None and connection.session.waiting is not None:
                    self.close(connection)

    def _serve_other(self, connection: Connection, mask: int) -> None:
        """Handle an event other than plain input: the socket takes output again, or the peer has closed."""
        if mask & WRITABLE and not self._drained(connection):
            return
        if mask & GONE and (connection.session.flags & STOPPED or not mask & READABLE):
            # There is no one left to reply to; requests that a blocked client has sent since are lost, as in Redis.
            self.close(connection)
        elif mask & READABLE:
            self._read(connection)
            if mask & GONE and connection.session.waiting is not None:
                # The blocking call arrived together with the end of the connection.
                self.close(connection)

    def _drained(self, connection: Connection, *, resume: bool = False) -> bool:
        """Send as much of the connection's backlog as its socket takes; False if that closed the connection.

        Resumes a client that had to read first, once it has; with `resume`, any client.
        """
        session = connection.session
        if session.flags & HELD:
            self._watch(connection)
            return True
        full = connection.is_full()
        if not connection.drain():
            self.close(connection)
            return False
        if session.flags & CLOSING and not connection.backlog.size:
            self.close(connection)
            return False
        if resume or (full and not connection.is_full()):
            self._broker.resumed.append(session)
        else:
            self._watch(connection)
        return True

    def _watch(self, connection: Connection) -> None:
        """Have the poller watch for the events that the connection can handle now."""
        flags = connection.session.flags
        if flags & (STOPPED & ~CLOSING):
            mask = PEER_CLOSED
        elif flags & CLOSING or connection.waiting or connection.is_full():
            mask = 0  # continues without an event; requests sent before the client closed its side are still answered
        else:
            mask = _LISTENING
        if connection.backlog.size and not flags & HELD:
            mask |= WRITABLE
        if mask != connection.mask:
            connection.mask = mask
            self._poller.modify(connection.fd, mask)

    def _read(self, connection: Connection) -> None:
        session = connection.session
        if session.flags & STOPPED or connection.waiting or (connection.backlog.size and connection.is_full()):
            self._watch(connection)
            return
        try:
            data = connection.receive()
        except BlockingIOError:
            return
        except OSError:
            self.close(connection)
            return
        if not data:
            self._input_ended(connection)
            return
        size = len(data)
        self._stats.bytes_read += size
        self._stats.reads += 1
        session.bytes_in += size
        session.reads += 1
        session.received = size
        try:
            requests = connection.parser.feed(data)
        except ProtocolError as problem:
            connection.refused = True
            requests = problem.requests
        if requests:
            self._stats.pipelines += 1
            session.pipelines += 1
            session.parsed += len(requests)
            if self._stats.bytes_read > self._eviction.check_after:
                self._eviction.check()
            self._execute(connection, requests)
        elif connection.parser.buffered > connection.query_limit:
            self._query_limit_reached(connection)
            return
        if connection.refused and not connection.waiting:
            self._refuse(connection)

    def _input_ended(self, connection: Connection) -> None:
        """The client has closed its side of the connection, or both; it may still read its replies."""
        if connection.backlog.size:
            connection.session.close()
            self._watch(connection)
        else:
            self.close(connection)

    def _execute(self, connection: Connection, requests: list[list[bytes]]) -> None:
        session = connection.session
        done = self._dispatcher.execute(session, requests)
        if not session.in_outbox:
            session.in_outbox = True
            self._broker.outbox.append(session)
        if done < len(requests) and not session.flags & CLOSING:
            connection.waiting = requests[done:]
            if not session.flags & STOPPED:
                self._overfull[connection] = None

    def _resume(self) -> None:
        """Execute the held-back requests of clients that no longer have to wait."""
        while self._broker.resumed:
            resumed, self._broker.resumed = self._broker.resumed, []
            for session in resumed:
                connection = session.transport
                if session.flags & CLOSING or not isinstance(connection, Connection):
                    continue
                if not (session.flags & STOPPED or connection.is_full()):
                    requests, connection.waiting = connection.waiting, []
                    if requests:
                        self._execute(connection, requests)
                    if connection.refused and not connection.waiting:
                        self._refuse(connection)
                if connection.mask != _LISTENING or connection.backlog.size or session.flags & CLOSING:
                    self._watch(connection)
                # Else the mask is changed only if an event comes: a client that waits again usually sends nothing.

    def _run_scheduled_resume(self) -> None:
        self._resume_scheduled = False
        self._resume_overfull()

    def _resume_overfull(self) -> None:
        """Resume the clients that stopped after too many replies at once, unless they must read first."""
        overfull, self._overfull = self._overfull, {}
        self._broker.resumed += [connection.session for connection in overfull]

    def _refuse(self, connection: Connection) -> None:
        """Answer malformed input with the protocol error, and close.

        A request that only exceeded the limits that apply before AUTH is parsed again if it came after an AUTH.
        """
        session = connection.session
        while not session.flags & STOPPED:
            connection.refused = False
            try:
                requests = connection.parser.feed(b"")
            except ProtocolError as problem:
                requests = problem.requests
                if not requests:
                    text = problem.text
                    log = self._broker.log
                    log.verbose("protocol error", id=session.id, text=log.user_data(text))
                    session.send(error(text))
                    session.close()
                    return
            if not requests:
                return
            self._execute(connection, requests)
            if connection.waiting:
                connection.refused = True
                return

    def _query_limit_reached(self, connection: Connection) -> None:
        self._stats.query_limit_closes += 1
        self._broker.log.warning(
            "client closed: its query buffer is over the limit",
            id=connection.session.id,
            addr=connection.peer_name.decode(errors="replace"),
        )
        self.close(connection)
