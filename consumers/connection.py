"""The consumers' own connections to the server that holds their streams.

A coredis client supplies address, credentials, TLS, Sentinel and cluster layout. Its connection classes are used but
its pool is not, for three reasons:

- A pool's connection that dies while it is leased, or whose blocking command is cancelled, never frees its slot
  (coredis 6.9): after `max_connections` cuts the pool is stuck.
- A client repeats commands automatically after a cut. Repeating an XREADGROUP whose reply was lost hides that entries
  were delivered, and a repeated XADD adds twice. Here the caller gets the error and decides.
- A cancelled blocking read may lose its reply. Here it never does: the read runs on a connection that the server knows
  by its ID, CLIENT UNBLOCK ends it, and its final reply is returned.

In a cluster, redirections are followed if they mean that nothing was executed (redirections.py). A server that has
become a replica keeps its clients' connections: one that answers READONLY is replaced, so that Sentinel, or whatever
else leads to the primary, is asked again.

The connections live in a task group of open_link's block and end with it. They are shielded from its cancellation,
because giving entries back then still needs them.
"""

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import AskError, ConnectionError, MovedError, ReadOnlyError, RedisError

from consumers import loops
from consumers.capabilities import LEAST, Capabilities, detect
from consumers.connecting import Argument, Client, Command, Reply, connect, report, slot_of
from consumers.redirections import MIGRATION_SECONDS, follow, is_unstable, target
from consumers.task_groups import open_plain_task_group

__all__ = [
    "Argument", "Client", "Command", "Link", "Reply", "ask_any", "client_slot", "open_link", "require_one_slot",
    "send_batch",
]  # fmt: skip

ANSWER_SECONDS = 5.0
"""How long a command may take before its connection is considered dead."""

UNBLOCK_SECONDS = 1.0
"""How long a cancelled read may hold up its caller while the server reports what it delivered."""

UNSTABLE_PAUSE = 0.1
"""Seconds between two attempts at a transaction whose keys are being moved."""


class Link:
    """Two connections to one server: one for reads that may block, one for everything else.

    Each is opened when first needed, and again after it was lost. A command that may have been executed is never sent
    again. When a method raises coredis's ConnectionError or TimeoutError, it is unknown whether the server has executed
    the commands.
    """

    def __init__(self, client: Client, key: str | bytes, tasks: TaskGroup) -> None:
        self._commands = _Line(client, key, tasks)
        self._reads = _Line(client, key, tasks)
        self._blocked: tuple[BaseConnection, Any] | None = None
        self._watching: BaseConnection | None = None

    async def execute(self, commands: Sequence[Command], *, limit: float = ANSWER_SECONDS) -> list[Reply]:
        """Send commands in one write and return their replies in order, error replies as RedisError objects.

        Follows redirections; TRYAGAIN is a reply like any other. No commands have no replies, and need no server.
        limit: seconds. Raises ConnectionError or TimeoutError.
        """
        return (await self._commands.execute(commands, limit))[0]

    async def transaction(self, commands: Sequence[Command], *, limit: float = ANSWER_SECONDS) -> list[Reply]:
        """The same in MULTI and EXEC. Raises EXEC's error reply if the server refuses the transaction.

        While a cluster moves some of the keys, this waits, up to MIGRATION_SECONDS.
        """
        deadline = anyio.current_time() + MIGRATION_SECONDS
        while True:
            try:
                return outcome(await self.execute([(b"MULTI",), *commands, (b"EXEC",)], limit=limit))
            except RedisError as error:
                if not is_unstable(error) or anyio.current_time() >= deadline:
                    raise
            await anyio.sleep(UNSTABLE_PAUSE)

    async def watch(
        self, keys: Sequence[str | bytes], questions: Sequence[Command]
    ) -> tuple[list[Reply], TCPLocation | None]:
        """WATCH keys, then query; returns the replies to the queries, and the node that watches, for execute_watched().

        None is the link's own node. Raises WATCH's error reply.
        """
        (watching, *replies), places = await self._commands.execute([(b"WATCH", *keys), *questions], ANSWER_SECONDS)
        if isinstance(watching, RedisError):
            raise watching
        self._watching = self._commands.used_at(places.get(0))
        return replies, places.get(0)

    async def execute_watched(self, node: TCPLocation | None, commands: Sequence[Command]) -> list[Reply]:
        """Execute on the connection that watches keys, and nowhere else: a redirection is a reply like any other.

        node: what watch() returned. Raises ConnectionError if that connection is lost, since nothing is watched then.
        """
        connection, self._watching = self._watching, None
        if connection is None or not connection.usable:
            raise ConnectionError("connection lost: it was the one that watches")
        asking: list[Command] = [(b"ASKING",)] if node is not None else []
        replies = await self._commands.send_batch(connection, [*asking, *commands], ANSWER_SECONDS)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            self._commands.replace(connection)
        return replies[len(asking) :]

    async def read(self, command: Command, *, limit: float = ANSWER_SECONDS) -> Reply:
        """Execute a command that may block or that takes entries; a cancellation does not lose its reply.

        When cancelled, it ends the command on the server and then *returns* its reply: process it, and the next
        checkpoint (or read) raises Cancelled. It raises Cancelled itself only if the server does not answer within
        UNBLOCK_SECONDS; then, as after ConnectionError and TimeoutError, entries may have been delivered unseen.
        One read at a time. limit: seconds, including the blocking time.
        """
        # the previous read may have returned in spite of a cancellation
        if loops.is_cancelled():
            await checkpoint()
        connection = await self._reads.ready()
        reply = await self._read(connection, None, command, limit)
        if isinstance(reply, AskError):
            node = target(reply, connection.location)
            reply = await self._read(await self._reads.ready_at(node), node, command, limit)
        return reply

    async def _read(
        self, connection: BaseConnection, node: TCPLocation | None, command: Command, limit: float
    ) -> Reply:
        line = self._reads
        try:
            with anyio.move_on_after(limit):
                if node is not None:
                    line.send(connection, (b"ASKING",))
                request = line.send(connection, command)
                self._blocked = connection, request
                return line.checked(await request, connection)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + UNBLOCK_SECONDS):
                await self.wake()
                reply = line.checked(await request, connection)
            if request.complete:
                loops.cancel_again()
                return reply
            connection.invalidate("a read was cancelled")
            raise
        finally:
            self._blocked = None
        connection.invalidate("no answer")
        raise TimeoutError(f"no answer within {limit} s")

    async def capabilities(self, *, reading: bool) -> Capabilities:
        """What the server can do that gets the next read, or the next commands.

        In a failover these may be different servers, of different versions. Raises ConnectionError or TimeoutError.
        """
        return await (self._reads if reading else self._commands).capabilities()

    async def wake(self) -> None:
        """End a read that is blocked right now, as its time-out does; does nothing if the server does not permit it."""
        blocked = self._blocked
        while blocked is not None and blocked is self._blocked and not blocked[1].complete:
            try:
                unblock: Command = (b"CLIENT", b"UNBLOCK", blocked[0].client_id or 0)
                replies = await self._commands.execute_beside(blocked[0], [unblock], ANSWER_SECONDS)
            except (RedisError, TimeoutError):
                return
            if replies != [0]:
                return
            # The read was sent a moment ago on the other connection, and the server has not seen it yet.
            await anyio.sleep(0.005)

    def close(self) -> None:
        """Drop both connections."""
        self._commands.close()
        self._reads.close()


class _Line:
    """One connection, replaced when it is lost, and one to each node that a redirection has named."""

    def __init__(self, client: Client, key: str | bytes, tasks: TaskGroup) -> None:
        self._client = client
        self._key = key
        self._task_group = tasks
        self._connection: BaseConnection | None = None
        self._elsewhere: dict[TCPLocation, BaseConnection] = {}
        self._connecting = anyio.Lock()
        self._closing = anyio.Event()
        self._used: BaseConnection | None = None
        self._queried: BaseConnection | None = None
        self._capabilities = LEAST

    async def ready(self) -> BaseConnection:
        """Return the established connection. Raises ConnectionError, TimeoutError, or the server's refusal."""
        connection = self._connection
        if connection is not None and connection.usable:
            return connection
        async with self._connecting:
            connection = self._connection
            if connection is None or not connection.usable:
                if connection is not None:
                    connection.invalidate("it is replaced")
                connection = await self._connect(None)
                self._connection = connection
            return connection

    async def capabilities(self) -> Capabilities:
        """Those of the server at the end of the connection that ready() returns."""
        while (connection := await self.ready()) is not self._queried:
            found = await detect(lambda commands: self.send_batch(connection, commands, ANSWER_SECONDS))
            self._capabilities, self._queried = found, connection
        return self._capabilities

    async def ready_at(self, node: TCPLocation | None) -> BaseConnection:
        """The same for a node that a redirection named; None: the node that has the key."""
        if node is None:
            return await self.ready()
        async with self._connecting:
            connection = self._elsewhere.get(node)
            if connection is None or not connection.usable:
                connection = self._elsewhere[node] = await self._connect(node)
            return connection

    def used_at(self, node: TCPLocation | None) -> BaseConnection | None:
        """The connection that the last execute() used for commands that it followed to this node; None: for others."""
        return self._used if node is None else self._elsewhere.get(node)

    async def _connect(self, node: TCPLocation | None) -> BaseConnection:
        if self._closing.is_set():
            raise ConnectionError("the link is closed")
        slot = slot_of(self._client, self._key)
        connection = await connect(self._client, self._task_group, slot=slot, node=node, shielded=True, primary=True)
        if self._closing.is_set():
            connection.invalidate("the link is closed")
            raise ConnectionError("the link is closed")
        return connection

    async def execute(self, commands: Sequence[Command], limit: float) -> tuple[list[Reply], dict[int, TCPLocation]]:
        """Return the replies and, by the index of the first command that was redirected there, the other node."""
        if not commands:
            return [], {}
        connection = self._used = await self.ready()
        replies = await self.send_batch(connection, commands, limit)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            self.replace(connection)
        if not any(isinstance(reply, AskError) for reply in replies):
            return replies, {}
        places = await follow(
            commands, replies, connection.location,
            lambda node, some: self.execute_at(node, some, limit),
            lambda error: self._moved(connection, error),
        )  # fmt: skip
        return replies, places

    async def execute_at(self, node: TCPLocation | None, commands: Sequence[Command], limit: float) -> list[Reply]:
        """Return this node's replies, whatever they are."""
        return await self.send_batch(await self.ready_at(node), commands, limit)

    async def execute_beside(self, other: BaseConnection, commands: Sequence[Command], limit: float) -> list[Reply]:
        """Return the replies of the node at another connection's end. Raises ConnectionError if it can't be reached."""
        connection = await self.ready()
        if connection.location != other.location and isinstance(other.location, TCPLocation):
            connection = await self.ready_at(other.location)
        if connection.location != other.location:
            raise ConnectionError("the other connection leads to another server")
        return await self.send_batch(connection, commands, limit)

    async def send_batch(self, connection: BaseConnection, commands: Sequence[Command], limit: float) -> list[Reply]:
        # coredis keeps the time: a scope of ours around its own would cost each call another 10 us
        replies = await send_batch(connection, commands, limit)
        for reply in replies:
            if isinstance(reply, BaseException) and (
                not isinstance(reply, RedisError) or isinstance(reply, ConnectionError)
            ):
                if isinstance(reply, TimeoutError):
                    connection.invalidate("no answer")
                    raise TimeoutError(f"no answer within {limit} s") from None
                raise ConnectionError(f"connection lost: {reply}") from reply
        return replies

    @staticmethod
    def send(connection: BaseConnection, command: Command) -> Any:
        """Queue one command and return an awaitable of its reply."""
        name, *arguments = command
        assert isinstance(name, bytes)
        # we time it out ourselves: given no time-out, coredis would apply the client's to a blocking read
        return connection.create_request(
            name, *arguments, decode=False, raise_exceptions=False, timeout=_NEVER, disconnect_on_cancellation=False
        )

    def checked(self, reply: Reply, connection: BaseConnection) -> Reply:
        """Return the reply to a read. Raises ConnectionError if the connection was lost or the slot has moved."""
        if not isinstance(reply, BaseException):
            return reply
        if isinstance(reply, MovedError):
            self._moved(connection, reply)
            raise ConnectionError("the stream has moved to another node") from reply
        if isinstance(reply, ReadOnlyError):
            self.replace(connection)
        if isinstance(reply, RedisError) and not isinstance(reply, ConnectionError):
            return reply
        raise ConnectionError(f"connection lost: {reply}") from reply

    def _moved(self, connection: BaseConnection, error: MovedError) -> None:
        if self._connection is connection:
            report(self._client, connection, error)
            self.replace(connection)

    def replace(self, connection: BaseConnection) -> None:
        """Connect again next time. Other requests in flight get their own replies first."""
        if self._connection is connection:
            self._connection = None
            self._task_group.start_soon(self._retire, connection)

    async def _retire(self, connection: BaseConnection) -> None:
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + ANSWER_SECONDS):
            await self._closing.wait()
        connection.invalidate("it has been replaced")

    def close(self) -> None:
        self._closing.set()
        for connection in (self._connection, *self._elsewhere.values()):
            if connection is not None:
                connection.invalidate("the link is closed")


_NEVER = 10.0**9
"""Seconds: a time-out that coredis never reaches."""


async def ask_any(client: Client, commands: Sequence[Command]) -> list[Reply]:
    """Send commands that concern no key in one write, in a cluster to any node; returns their replies in order.

    Error replies are RedisError objects. coredis's own pipeline needs a key.
    """
    async with client.connection_pool.acquire() as connection:
        waiting = send_batch(connection, commands, None)
    return list(await waiting)


def send_batch(connection: BaseConnection, commands: Sequence[Command], limit: float | None) -> Awaitable[list[Reply]]:
    """Queue commands as one request and return an awaitable of their replies, errors and lost ones as exceptions.

    This costs 5 us per command, separate requests 15. limit: seconds; None: the client's stream_timeout. Cancelling
    the wait leaves the connection in use.
    """
    if not commands:
        # coredis would expect a reply to them, and fail at the next one
        return _no_replies()
    prepared: Any = [_Prepared(command) for command in commands]
    batch = connection.create_request_batch(prepared, timeout=limit)
    batch.disconnect_on_cancellation = False
    return batch


async def _no_replies() -> list[Reply]:
    return []


class _Prepared:
    """A command in the form that coredis's batches take."""

    __slots__ = ("decode", "name", "serialized_arguments")

    def __init__(self, command: Command) -> None:
        name, *arguments = command
        self.name: Any = name
        self.serialized_arguments: Any = tuple(arguments)
        self.decode = False


def client_slot(client: Client, key: str | bytes) -> int:
    """The cluster slot, which must be equal for keys used in one command; always 0 outside a cluster."""
    return slot_of(client, key) or 0


def require_one_slot(client: Client, streams: Iterable[str]) -> None:
    """Raise ValueError if the streams of a consumer are in different slots of a cluster."""
    if len({client_slot(client, stream) for stream in streams}) > 1:
        raise ValueError("in a cluster all streams and the dead-letter stream need one hash tag, as in {a}:b")


def outcome(replies: Sequence[Reply]) -> list[Reply]:
    """Extract the replies of a transaction's commands from all replies from MULTI to EXEC. Raises its refusal."""
    last = replies[-1]
    if isinstance(last, RedisError):
        raise next((reply for reply in replies if isinstance(reply, RedisError)), last)
    return list(last)


@asynccontextmanager
async def open_link(client: Client, key: str | bytes) -> AsyncIterator[Link]:
    """Open connections to the server that holds `key` while the block runs. The client must have been entered.

    The first command connects, so a server that is down at the start is handled like any lost connection.
    """
    async with open_plain_task_group() as tasks:
        link = Link(client, key, tasks)
        try:
            yield link
        finally:
            link.close()
