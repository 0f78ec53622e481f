"""Send the same commands to the reference redis-server and the broker, and compare the replies byte for byte.

A script on one client, run in RESP2 and then in RESP3, each from an empty keyspace:

    same(["RPUSH k a b", 'SET "a b" x', ["SET", b"k2", b"\\x00", "EX", 9], Loose("TTL k2"), "LRANGE k 0 -1"])

A command is a str (split as redis-cli does, quotes and \\x00 escapes included), a list of
str/bytes/int/float, or one of these around either:

    Loose(cmd, within=2)        numbers (also texts that read as one) may differ by within; the rest is equal
    Unordered(cmd)              arrays, sets and maps compare as multisets, at every depth; pairs=True keeps
                                the pairs of a flat RESP2 array together (HGETALL)
    Shape(cmd)                  only the types compare, at every depth (TIME, INFO, random values)
    Masked(cmd, mask)           mask(bytes) -> bytes is applied to both replies first
    Skip(cmd)                   sent and received, not compared
    Step(cmd, replies=2)        a command with a number of replies other than one; the above accept replies=
                                too. SUBSCRIBE and related commands know theirs if they name channels
    Each(theirs, ours)          a different command for each server (client ids, ports)
    Raw(b"PING\\r\\n")            exactly these bytes (inline commands, protocol errors); replies= as above

same(script, resp=(2, 3), mask=None, unordered=False, state=False, cleanup=()): mask and unordered apply to
every command; state=True also compares the whole keyspaces afterwards; cleanup's commands run at the end on
both, whatever happened (restore what FLUSHALL doesn't: CONFIG SET, FUNCTION FLUSH, ACL DELUSER).
A closed connection is a reply like any other (CLOSED), and so is one that never arrived (SILENT); either ends
the script.

Several clients, each with one connection to either server:

    with pair() as p:
        c1, c2 = p.client(resp=3), p.client()
        c1.send("BLPOP k 0")      # sends to both and does not wait
        p.settle()                # waits until both have processed everything sent, and are blocked or have answered
        c1.nothing()              # neither has sent anything
        c2.do("LPUSH k 1")        # send, receive, compare; markers as above
        c1.receive()              # one reply or push from both, compared as the sent command's marker says
        c1.drain()                # everything that can be read (events, invalidations), compared
        c1.ids                    # (theirs, ours): the CLIENT IDs, for Each(...)
    do, receive and drain return the reference's bytes, so a test can assert on them too.

Generated commands (hypothesis; the same ones in every run, `pytest --oracle-examples N` runs N per test):

    @examples(40)
    @given(st.lists(commands, max_size=20))
    def test_lists(script): agree(script)         # same(script, resp=(3,), state=True)

Older references: @requires("8.4") on a test, pytestmark = requires("7.4") on a module, marks=requires(...) on
a parameter; if the reference is older than 8.10, a difference counts as an expected failure (conftest.py).
version() is the reference's, e.g. (8, 10, 2). Stream IDs from the clock: mask=stream_ids.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import hypothesis
import pytest

from tests.oracle import servers
from tests.oracle.servers import version
from tests.oracle.state import differences, keyspace_of
from tests.oracle.wire import CLOSED, SILENT, Connection, Node, encode, frame_end, parse, split

__all__ = [
    "CLOSED", "SILENT", "Client", "Differs", "Each", "Loose", "Masked", "Pair", "Raw", "Shape", "Skip", "Step",
    "Unordered", "agree", "examples", "pair", "requires", "same", "stream_ids", "version",
]  # fmt: skip

Mask = Callable[[bytes], bytes]
Test = TypeVar("Test", bound=Callable[..., object])

SETTLE_SECONDS = 60.0
SHOWN = 700

_SUBSCRIBING = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"})
_BLOCKING = frozenset(
    b"BLPOP BRPOP BLMOVE BLMOVEM BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP XREAD XREADGROUP WAIT".split()
)


class Differs(pytest.fail.Exception):
    """The servers' replies are not the same."""


class Step:
    """A command, and when two replies to it count as the same: here, when the bytes are equal."""

    def __init__(self, command: "Command", *, replies: int | None = None) -> None:
        parts = split(command) if isinstance(command, str) else command
        self.theirs = self.ours = encode(parts)
        self.label = command if isinstance(command, str) else " ".join(_shown(part) for part in command)
        first = parts[0] if parts else b""
        self.name = (first if isinstance(first, bytes) else str(first).encode()).upper()
        if replies is None:
            replies = len(parts) - 1 if self.name in _SUBSCRIBING and len(parts) > 1 else 1
        self.replies = replies

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return theirs == ours


Command = str | Sequence[str | bytes | int | float]
AnyCommand = Command | Step


class Raw(Step):
    """Bytes sent unchanged."""

    def __init__(self, data: bytes, *, replies: int = 1) -> None:
        self.theirs = self.ours = data
        self.label, self.name, self.replies = repr(data), b"", replies


class Each(Step):
    """One command for the reference and another for the broker."""

    def __init__(self, theirs: Command, ours: Command, *, replies: int | None = None) -> None:
        super().__init__(ours, replies=replies)
        self.theirs = encode(theirs)


class Skip(Step):
    """Not compared."""

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return ours not in (CLOSED, SILENT)


class Masked(Step):
    """Compared after mask()."""

    def __init__(self, command: Command, mask: Mask, *, replies: int | None = None) -> None:
        super().__init__(command, replies=replies)
        self._mask = mask

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return self._mask(theirs) == self._mask(ours)


class Loose(Step):
    """Numbers may differ by `within`."""

    def __init__(self, command: Command, within: float = 2, *, replies: int | None = None) -> None:
        super().__init__(command, replies=replies)
        self._within = within

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return self._close(parse(theirs), parse(ours))

    def _close(self, theirs: Node, ours: Node) -> bool:
        if theirs.kind != ours.kind or len(theirs.items) != len(ours.items):
            return False
        if theirs.text == ours.text:
            return all(map(self._close, theirs.items, ours.items))
        try:
            return abs(float(theirs.text) - float(ours.text)) <= self._within
        except ValueError:
            return False


class Unordered(Step):
    """The order of elements does not matter, at any depth."""

    def __init__(self, command: Command, *, pairs: bool = False, replies: int | None = None) -> None:
        super().__init__(command, replies=replies)
        self._pairs = pairs

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return theirs == ours or _sorted(parse(theirs), self._pairs) == _sorted(parse(ours), self._pairs)


class Shape(Step):
    """Only the types are compared."""

    def agrees(self, theirs: bytes, ours: bytes) -> bool:
        return _shape(parse(theirs)) == _shape(parse(ours))


def _sorted(node: Node, pairs: bool) -> tuple[object, ...]:
    items = [_sorted(item, pairs) for item in node.items]
    if node.kind in "%|" or (pairs and node.kind == "*" and len(items) % 2 == 0):
        return (node.kind, *sorted(map(repr, zip(items[::2], items[1::2], strict=True))))
    return (node.kind, node.text, *sorted(map(repr, items)))


def _shape(node: Node) -> tuple[object, ...]:
    return (node.kind, *map(_shape, node.items))


def _step(command: AnyCommand, unordered: bool = False) -> Step:
    if isinstance(command, Step):
        return command
    return Unordered(command) if unordered else Step(command)


def stream_ids(reply: bytes) -> bytes:
    """A mask for stream IDs made from the clock."""
    return re.sub(rb"\b\d{13}-\d+", b"<id>", reply)


def _shown(part: str | bytes | int | float) -> str:
    return repr(part)[1:] if isinstance(part, bytes) else str(part)


def _reply_text(reply: bytes, other: bytes) -> str:
    """A reply for a failure message; of a long one, the part where it begins to differ from the other."""
    if len(reply) <= SHOWN:
        return repr(reply)
    same_until = next(
        (n for n, (a, b) in enumerate(zip(reply, other, strict=False)) if a != b), min(len(reply), len(other))
    )
    start = max(0, same_until - 60)
    return f"{reply[start : start + SHOWN]!r} ({len(reply)} bytes, from byte {start})"


_controls: dict[str, Connection] = {}


def _servers() -> tuple[servers.Server, servers.Server]:
    try:
        return servers.reference(), servers.broker()
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))


def _control(server: servers.Server) -> Connection:
    """A permanent connection for commands that are not part of the test."""
    connection = _controls.get(server.name)
    if connection is not None and connection.usable:
        return connection
    if connection is not None:
        connection.close()
    connection = _controls[server.name] = server.connect()
    return connection


def close_controls() -> None:
    """Close the control connections at the end of the session."""
    while _controls:
        _controls.popitem()[1].close()


def _on_both(*commands: Command) -> None:
    for server in _servers():
        control = _control(server)
        for command in commands:
            control.send(encode(command))
        for command in commands:
            reply = control.receive()
            if reply in (CLOSED, SILENT):
                pytest.fail(f"{server.name} to {command!r}: {reply.decode()}\n{server.log()}", pytrace=False)


class Client:
    """One connection to the reference and one to the broker, which must look the same."""

    def __init__(self, resp: int = 2, mask: Mask | None = None) -> None:
        self._servers = _servers()
        self.theirs, self.ours = (server.connect() for server in self._servers)
        self._mask = mask
        self._sent: list[Step] = []
        if resp == 3:
            for connection in (self.theirs, self.ours):
                if not (hello := connection.call("HELLO", "3")).startswith(b"%"):
                    self.close()
                    pytest.fail(f"HELLO 3 answered {hello!r}", pytrace=False)

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()

    @property
    def ids(self) -> tuple[int, int]:
        """The client ids, (theirs, ours); not while blocked."""
        return int(self.theirs.call("CLIENT", "ID")[1:]), int(self.ours.call("CLIENT", "ID")[1:])

    @property
    def usable(self) -> bool:
        return self.theirs.usable and self.ours.usable

    def send(self, command: AnyCommand) -> None:
        """Send to both and don't wait; each reply is then one receive()."""
        step = _step(command)
        self.theirs.send(step.theirs)
        self.ours.send(step.ours)
        self._sent.append(step)

    def receive(self, command: AnyCommand | None = None) -> bytes:
        """Receive one reply or push from each, compared as the oldest unanswered (or given) command says."""
        step = _step(command) if command is not None else self._sent.pop(0) if self._sent else _step("(a push)")
        return self._compare(step)

    def do(self, command: AnyCommand) -> bytes:
        """Send, receive all replies, compare. Returns the reference's bytes."""
        step = _step(command)
        self.theirs.send(step.theirs)
        self.ours.send(step.ours)
        return b"".join([self._compare(step) for _ in range(step.replies)])

    def nothing(self) -> None:
        """Fail if either server has sent something that was not received."""
        self._flush()
        theirs, ours = self.theirs.waiting(), self.ours.waiting()
        if theirs or ours:
            raise Differs(f"expected no reply\n  theirs: {theirs!r}\n  ours:   {ours!r}", pytrace=False)

    def drain(self) -> bytes:
        """Receive all replies and pushes that have arrived, compared one by one. Returns the reference's bytes."""
        self._flush()
        replies = []
        while _complete(self.theirs.waiting()) or _complete(self.ours.waiting()):
            step = self._sent.pop(0) if self._sent else _step("(a push)")
            if difference := self._compared(step, _arrived(self.theirs), _arrived(self.ours)):
                raise Differs(difference, pytrace=False)
            replies.append(self._last)
        return b"".join(replies)

    def blocked(self, connection: Connection) -> bool:
        """Whether this side is in a blocking command that, as far as is known, has not been answered."""
        return bool(self._sent) and self._sent[-1].name in _BLOCKING and not connection.waiting()

    def _compare(self, step: Step) -> bytes:
        if difference := self.difference(step):
            raise Differs(difference, pytrace=False)
        return self._last

    def difference(self, step: Step) -> str:
        """Receive one reply from each; returns how they differ, or ""."""
        return self._compared(step, self.theirs.receive(), self.ours.receive())

    def _compared(self, step: Step, theirs: bytes, ours: bytes) -> str:
        self._last = theirs
        if self._mask is not None:
            theirs, ours = self._mask(theirs), self._mask(ours)
        if step.agrees(theirs, ours):
            return ""
        log = ""
        if ours in (CLOSED, SILENT):
            server = self._servers[1]
            log = f"\n  our server {'runs on' if server.alive() else 'HAS DIED'}; its log ends:\n{server.log()}"
        return f"{step.label}\n  theirs: {_reply_text(theirs, ours)}\n  ours:   {_reply_text(ours, theirs)}{log}"

    def _flush(self) -> None:
        """Let both servers answer what was sent before. Twice: a PING may overtake within one poll."""
        _on_both("PING")
        _on_both("PING")


def _complete(buffer: bytes) -> bool:
    return buffer not in (b"", CLOSED) and frame_end(buffer) >= 0


def _arrived(connection: Connection) -> bytes:
    """A reply that is here already, or SILENT."""
    return connection.receive() if _complete(connection.waiting()) else SILENT


def same(
    script: Sequence[AnyCommand],
    *,
    resp: Sequence[int] = (2, 3),
    mask: Mask | None = None,
    unordered: bool = False,
    state: bool = False,
    cleanup: Sequence[Command] = (),
) -> None:
    """Run a script on both servers and fail with every difference (at most five) between their replies."""
    steps = [_step(command, unordered) for command in script]
    for version_of_resp in resp:
        try:
            found = _run(steps, version_of_resp, mask)
            if state and not found:
                theirs, ours = (keyspace_of(_control(server), version()) for server in _servers())
                found = differences(theirs, ours)
        finally:
            if cleanup:
                _on_both(*cleanup)
        if found:
            lines = "\n".join(found[:5]) + (f"\n... and {len(found) - 5} more" if len(found) > 5 else "")
            raise Differs(f"RESP{version_of_resp} replies differ\n{lines}", pytrace=False)


def _run(steps: Sequence[Step], resp: int, mask: Mask | None) -> list[str]:
    _on_both("FLUSHALL")
    found = []
    client = Client(resp, mask)
    try:
        for number, step in enumerate(steps, 1):
            client.theirs.send(step.theirs)
            client.ours.send(step.ours)
            for _ in range(step.replies):
                if difference := client.difference(step):
                    found.append(f"command {number} of {len(steps)}: {difference}")
            if not client.usable:
                break
        theirs, ours = client.theirs.waiting(), client.ours.waiting()
        if theirs != ours and CLOSED not in (theirs, ours) and not found:
            found.append(f"left unread at the end (replies= wrong?)\n  theirs: {theirs!r}\n  ours:   {ours!r}")
    finally:
        client.close()
    return found


def agree(script: Sequence[AnyCommand], *, resp: Sequence[int] = (3,)) -> None:
    """same() for generated scripts: one protocol version, and the keyspaces compared at the end."""
    same(script, resp=resp, state=True)


def examples(count: int) -> Callable[[Test], Test]:
    """How many generated scripts a @given test runs, unless TRIMARAN_ORACLE_EXAMPLES says it for all."""
    chosen = hypothesis.settings(
        max_examples=int(os.environ.get("TRIMARAN_ORACLE_EXAMPLES") or count),
        # hypothesis's "explain" phase would run each failing script hundreds of times more
        phases=[phase for phase in hypothesis.Phase if phase is not hypothesis.Phase.explain],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    return lambda test: chosen(test)


def requires(minimum: str) -> pytest.MarkDecorator:
    """A mark that skips a test when the reference server is older than, e.g., "8.4"."""
    wanted = tuple(map(int, minimum.split(".")))
    found = ".".join(map(str, version())) or "none"
    return pytest.mark.skipif(version() < wanted, reason=f"needs redis-server {minimum}; the reference is {found}")


class Pair:
    """The two servers, with several clients on each."""

    def __init__(self, mask: Mask | None) -> None:
        self._mask = mask
        self._clients: list[Client] = []

    def client(self, resp: int = 2) -> Client:
        client = Client(resp, self._mask)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def settle(self, blocked: int | None = None) -> None:
        """Wait until every blocking command sent has blocked or been answered, on both servers.

        blocked is the expected INFO blocked_clients where what was sent doesn't tell (CLIENT PAUSE, MULTI).
        """
        for server, side in zip(_servers(), ("theirs", "ours"), strict=True):
            deadline = time.monotonic() + SETTLE_SECONDS
            while True:
                _on_both("PING")
                clients = _control(server).call("INFO", "clients")
                found = re.search(rb"blocked_clients:(\d+)", clients)
                now = int(found[1]) if found else -1
                waits = sum(client.blocked(getattr(client, side)) for client in self._clients)
                if now == (waits if blocked is None else blocked):
                    break
                if time.monotonic() > deadline:
                    pytest.fail(f"{side}: {now} blocked clients, expected {waits if blocked is None else blocked}")
                time.sleep(0.002)


@contextlib.contextmanager
def pair(mask: Mask | None = None, cleanup: Sequence[Command] = ()) -> Iterator[Pair]:
    """Several clients on both servers, from an empty keyspace; cleanup as in same()."""
    _on_both("FLUSHALL")
    clients = Pair(mask)
    try:
        yield clients
    finally:
        clients.close()
        if cleanup:
            _on_both(*cleanup)
