"""The consumers' own connections to the server that holds their streams.

A coredis client supplies address, credentials, TLS, Sentinel and cluster layout; its connections are used, its pool
is not, for three reasons:

- A pool's connection that dies while it is leased, or whose blocking command is cancelled, never gives its place
  back (coredis 6.9): after `max_connections` cuts the pool stands still.
- A client repeats commands by itself after a cut. Of an XREADGROUP whose reply was lost the repetition hides that
  entries were delivered, and a repeated XADD adds twice. Here the caller is told, and decides.
- A blocking read that is cancelled may lose its reply. Here it never does: the read runs on a connection that the
  server knows by its ID, CLIENT UNBLOCK ends it, and what it was given in the end is returned.

In a cluster redirections are followed where they say that nothing was executed (redirections.py).

The connections live in a nursery of the block of open_link and end with it. They are shielded from its cancellation,
since what must still be said then (giving entries back) needs them.
"""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import AskError, ConnectionError, MovedError, RedisError

from consumers.connecting import Argument, Client, Command, Reply, connect, report, slot_of
from consumers.nurseries import open_plain_nursery
from consumers.redirections import MIGRATION_SECONDS, follow, is_unstable, target

__all__ = ["Argument", "Client", "Command", "Link", "Reply", "client_slot", "open_link", "send_batch"]

ANSWER_SECONDS = 5.0
"""How long a command may take until its connection is considered dead."""

UNBLOCK_SECONDS = 1.0
"""How long a cancelled read may hold up its caller, until the server has said what it delivered."""

UNSTABLE_PAUSE = 0.1
"""Seconds between two tries of a transaction whose keys are being moved."""


class Link:
    """Two connections to one server: one for reads that may block, one for everything else.

    Each is opened when first needed, and again after it was lost. Nothing that may have been executed is ever sent
    again. A method that raises coredis's ConnectionError or TimeoutError does not know whether the server has executed
    the commands.
    """

    def __init__(self, client: Client, key: str, nursery: trio.Nursery) -> None:
        self._commands = _Line(client, key, nursery)
        self._reads = _Line(client, key, nursery)
        self._blocked: tuple[BaseConnection, Any] | None = None

    async def execute(self, commands: Sequence[Command], *, limit: float = ANSWER_SECONDS) -> list[Reply]:
        """Send commands in one write and return their replies in order, error replies as RedisError objects.

        Redirections are followed; TRYAGAIN is a reply like any other. limit: seconds. Raises ConnectionError or
        TimeoutError.
        """
        return (await self._commands.execute(commands, limit))[0]

    async def transaction(self, commands: Sequence[Command], *, limit: float = ANSWER_SECONDS) -> list[Reply]:
        """The same in MULTI and EXEC. Raises what EXEC answers when the server refused the transaction.

        While a cluster moves some of the keys it waits, up to MIGRATION_SECONDS.
        """
        deadline = trio.current_time() + MIGRATION_SECONDS
        while True:
            try:
                return outcome(await self.execute([(b"MULTI",), *commands, (b"EXEC",)], limit=limit))
            except RedisError as error:
                if not is_unstable(error) or trio.current_time() >= deadline:
                    raise
            await trio.sleep(UNSTABLE_PAUSE)

    async def watch(self, keys: Sequence[str], questions: Sequence[Command]) -> tuple[list[Reply], TCPLocation | None]:
        """WATCH keys, then ask; returns the replies to the questions, and the node that watches, for execute_at().

        None stands for the node of the link. Raises what WATCH is refused with.
        """
        (watching, *replies), places = await self._commands.execute([(b"WATCH", *keys), *questions], ANSWER_SECONDS)
        if isinstance(watching, RedisError):
            raise watching
        return replies, places.get(0)

    async def execute_at(self, node: TCPLocation | None, commands: Sequence[Command]) -> list[Reply]:
        """Execute on the connection that watches keys, and nowhere else: redirections are replies like any other."""
        line = self._commands
        if node is None:
            return await line.execute_at(None, commands, ANSWER_SECONDS)
        return (await line.execute_at(node, [(b"ASKING",), *commands], ANSWER_SECONDS))[1:]

    async def read(self, command: Command, *, limit: float = ANSWER_SECONDS) -> Reply:
        """Execute a command that may block or that takes entries; its reply is not lost in a cancellation.

        When it is cancelled it ends the command on the server and then *returns* its reply: book it, the next
        checkpoint (or read) raises Cancelled. Only a server that does not answer within UNBLOCK_SECONDS makes it raise
        Cancelled itself; then, as after ConnectionError and TimeoutError, entries may have been delivered unseen.
        One read at a time. limit: seconds, the blocking time included.
        """
        # the one before may have returned in spite of a cancellation
        await trio.lowlevel.checkpoint_if_cancelled()
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
            with trio.fail_after(limit):
                if node is not None:
                    line.send(connection, (b"ASKING",))
                request = line.send(connection, command)
                self._blocked = connection, request
                return line.checked(await request, connection)
        except trio.TooSlowError:
            connection.invalidate("no answer")
            raise TimeoutError(f"no answer within {limit} s") from None
        except trio.Cancelled:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + UNBLOCK_SECONDS):
                await self.wake()
                return line.checked(await request, connection)
            connection.invalidate("a read was cancelled")
            raise
        finally:
            self._blocked = None

    async def wake(self) -> None:
        """End a read that is blocked at this moment, as its time-out does. Where this is not permitted, nothing."""
        blocked = self._blocked
        while blocked is not None and blocked is self._blocked and not blocked[1].complete:
            try:
                unblock: Command = (b"CLIENT", b"UNBLOCK", blocked[0].client_id or 0)
                replies = await self._commands.execute_beside(blocked[0], [unblock], ANSWER_SECONDS)
            except (RedisError, TimeoutError):
                return
            if replies != [0]:
                return
            # The read was sent a moment ago on the other connection and the server has not seen it yet.
            await trio.sleep(0.005)

    def close(self) -> None:
        """Drop both connections."""
        self._commands.close()
        self._reads.close()


class _Line:
    """One connection, and the next one when it is lost; beside it, one to each node that was named by a redirection."""

    def __init__(self, client: Client, key: str, nursery: trio.Nursery) -> None:
        self._client = client
        self._key = key
        self._nursery = nursery
        self._connection: BaseConnection | None = None
        self._elsewhere: dict[TCPLocation, BaseConnection] = {}
        self._connecting = trio.Lock()
        self._closing = trio.Event()

    async def ready(self) -> BaseConnection:
        """The connection, established. Raises ConnectionError, TimeoutError, or what the server refuses it with."""
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

    async def ready_at(self, node: TCPLocation | None) -> BaseConnection:
        """The same for a node that was named by a redirection; None: the node that has the key."""
        if node is None:
            return await self.ready()
        async with self._connecting:
            connection = self._elsewhere.get(node)
            if connection is None or not connection.usable:
                connection = self._elsewhere[node] = await self._connect(node)
            return connection

    async def _connect(self, node: TCPLocation | None) -> BaseConnection:
        if self._closing.is_set():
            raise ConnectionError("the link is closed")
        slot = slot_of(self._client, self._key)
        connection = await connect(self._client, self._nursery, slot=slot, node=node, shielded=True, primary=True)
        if self._closing.is_set():
            connection.invalidate("the link is closed")
            raise ConnectionError("the link is closed")
        return connection

    async def execute(self, commands: Sequence[Command], limit: float) -> tuple[list[Reply], dict[int, TCPLocation]]:
        """The replies; and for the first command of what was redirected to another node, which that was."""
        connection = await self.ready()
        replies = await self._send(connection, commands, limit)
        if not any(isinstance(reply, AskError) for reply in replies):
            return replies, {}
        places = await follow(
            commands, replies, connection.location,
            lambda node, some: self.execute_at(node, some, limit),
            lambda error: self._moved(connection, error),
        )  # fmt: skip
        return replies, places

    async def execute_at(self, node: TCPLocation | None, commands: Sequence[Command], limit: float) -> list[Reply]:
        """The replies of this node, whatever they are."""
        return await self._send(await self.ready_at(node), commands, limit)

    async def execute_beside(self, other: BaseConnection, commands: Sequence[Command], limit: float) -> list[Reply]:
        """The replies of the node that another connection leads to. Raises ConnectionError where there is no way."""
        connection = await self.ready()
        if connection.location != other.location and isinstance(other.location, TCPLocation):
            connection = await self.ready_at(other.location)
        if connection.location != other.location:
            raise ConnectionError("the other connection leads to another server")
        return await self._send(connection, commands, limit)

    async def _send(self, connection: BaseConnection, commands: Sequence[Command], limit: float) -> list[Reply]:
        with trio.move_on_after(limit):
            replies = await send_batch(connection, commands, _NEVER)
            for reply in replies:
                if isinstance(reply, BaseException) and (
                    not isinstance(reply, RedisError) or isinstance(reply, ConnectionError)
                ):
                    raise ConnectionError(f"connection lost: {reply}") from reply
            return replies
        connection.invalidate("no answer")
        raise TimeoutError(f"no answer within {limit} s")

    @staticmethod
    def send(connection: BaseConnection, command: Command) -> Any:
        """Queue one command; awaiting what it returns gives the reply."""
        name, *arguments = command
        assert isinstance(name, bytes)
        # its time-out is ours: without one of its own coredis would apply the client's to a blocking read
        return connection.create_request(
            name, *arguments, decode=False, raise_exceptions=False, timeout=_NEVER, disconnect_on_cancellation=False
        )

    def checked(self, reply: Reply, connection: BaseConnection) -> Reply:
        """The reply to a read. Raises ConnectionError where it stands for the connection's loss, or the slot's move."""
        if not isinstance(reply, BaseException):
            return reply
        if isinstance(reply, MovedError):
            self._moved(connection, reply)
            raise ConnectionError("the stream has moved to another node") from reply
        if isinstance(reply, RedisError) and not isinstance(reply, ConnectionError):
            return reply
        raise ConnectionError(f"connection lost: {reply}") from reply

    def _moved(self, connection: BaseConnection, error: MovedError) -> None:
        """Connect to another node next time. Requests of others that are under way get their own answers first."""
        if self._connection is connection:
            self._connection = None
            report(self._client, connection, error)
            self._nursery.start_soon(self._retire, connection)

    async def _retire(self, connection: BaseConnection) -> None:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + ANSWER_SECONDS):
            await self._closing.wait()
        connection.invalidate("the slot has moved")

    def close(self) -> None:
        self._closing.set()
        for connection in (self._connection, *self._elsewhere.values()):
            if connection is not None:
                connection.invalidate("the link is closed")


_NEVER = 10.0**9
"""Seconds: a time-out that coredis never reaches."""


def send_batch(connection: BaseConnection, commands: Sequence[Command], limit: float | None) -> Awaitable[list[Reply]]:
    """Queue commands as one request; awaiting it gives their replies, errors and lost ones as exceptions.

    A request of each one's own costs 15 us a command, this 5. limit: seconds; None: the client's stream_timeout.
    Cancelling the wait leaves the connection in use.
    """
    prepared: Any = [_Prepared(command) for command in commands]
    batch = connection.create_request_batch(prepared, timeout=limit)
    batch.disconnect_on_cancellation = False
    return batch


class _Prepared:
    """A command as a batch of coredis takes it."""

    __slots__ = ("decode", "name", "serialized_arguments")

    def __init__(self, command: Command) -> None:
        name, *arguments = command
        self.name: Any = name
        self.serialized_arguments: Any = tuple(arguments)
        self.decode = False


def client_slot(client: Client, key: str) -> int:
    """What must be equal for keys to be used in one command: the cluster slot; always 0 outside a cluster."""
    return slot_of(client, key) or 0


def outcome(replies: Sequence[Reply]) -> list[Reply]:
    """The replies of a transaction's commands, from all replies between MULTI and EXEC. Raises its refusal."""
    last = replies[-1]
    if isinstance(last, RedisError):
        raise next((reply for reply in replies if isinstance(reply, RedisError)), last)
    return list(last)


@asynccontextmanager
async def open_link(client: Client, key: str) -> AsyncIterator[Link]:
    """Connections to the server that holds `key`, for as long as the block runs. The client must have been entered.

    Connecting is left to the first command, so that a server that is down at the start is waited for like any cut.
    """
    async with open_plain_nursery() as nursery:
        link = Link(client, key, nursery)
        try:
            yield link
        finally:
            link.close()
