"""Clients that each work on their own keys, so that the keys' state must be one from that client's history.

The broker's code also runs in the test, on a keyspace in memory: it determines the state after each unit. A unit is
executed completely or not at all: a command, a transaction, a script.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from broker.clients.session import Session
from tests.broker.sessions import make_broker, make_session, run
from tests.oracle.wire import CLOSED, SILENT, Connection, encode, parse

Unit = list[list[str]]
"""Commands; several are a transaction, with its MULTI and EXEC."""

Call = Callable[..., bytes]

SCRIPT = (
    "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) redis.call('HINCRBY', KEYS[3], 'n', 1) return 1"
)
FAR_OFF = 4_102_444_800_000
BATCH = 8
"""Units that a client sends together, at most."""


class History:
    """One client: the units that it has sent, how many were answered and when, and what they make of its keys."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settled: list[Unit] = []
        """What was sent, and found executed, in earlier rounds."""
        self._numbers = 0
        self._begin()

    def _begin(self) -> None:
        self.sent: list[Unit] = []
        self.answered = 0
        self.answers: list[tuple[float, int]] = []
        """How many had been answered at which time."""

    def key(self, kind: str) -> str:
        return f"{self.name}:{kind}"

    # What it does

    def _command(self, chance: random.Random) -> list[str]:
        """A command that has the same effect whenever it is executed in the same state."""
        key, number = self.key, chance.randrange(30)
        self._numbers += 1
        count = str(self._numbers)
        return chance.choice([
            ["INCR", key("n")],
            ["SET", key("s"), count],
            ["SET", key("t"), count, "PXAT", str(FAR_OFF + number)],
            ["APPEND", key("s"), count],
            ["DEL", key(chance.choice("stlhzx"))],
            ["RENAME", key("s"), key("t")],
            ["PEXPIREAT", key("l"), str(FAR_OFF + number)],
            ["RPUSH", key("l"), count, count],
            ["LPOP", key("l")],
            ["LMOVE", key("l"), key("l"), "LEFT", "RIGHT"],
            ["LTRIM", key("l"), "-50", "-1"],
            ["HSET", key("h"), str(number), count],
            ["HDEL", key("h"), str(number)],
            ["HPEXPIREAT", key("h"), str(FAR_OFF), "FIELDS", "1", str(number)],
            ["SADD", key("m"), str(number), "x" + count],
            ["SREM", key("m"), str(number)],
            ["ZINCRBY", key("z"), "1.5", str(number)],
            ["ZPOPMIN", key("z")],
            ["XADD", key("x"), f"{count}-1", "f", count],
            ["XADD", key("x"), f"{count}-2", "g", count, "f", "v"],
            ["XGROUP", "CREATE", key("x"), "g", "0", "MKSTREAM"],
            ["XREADGROUP", "GROUP", "g", f"c{number % 3}", "COUNT", "3", "STREAMS", key("x"), ">"],
            ["XREADGROUP", "GROUP", "g", f"c{number % 3}", "COUNT", "1", "NOACK", "STREAMS", key("x"), ">"],
            ["XACK", key("x"), "g", f"{max(1, self._numbers - number)}-1"],
            ["XCLAIM", key("x"), "g", "c0", "0", f"{max(1, self._numbers - number)}-1", "JUSTID"],
            ["XAUTOCLAIM", key("x"), "g", "c1", "0", "0", "COUNT", "2", "JUSTID"],
            ["XDEL", key("x"), f"{max(1, self._numbers - number)}-1"],
            ["XTRIM", key("x"), "MAXLEN", "40"],
            ["EVAL", SCRIPT, "3", key("n"), key("l"), key("h"), count],
        ])  # fmt: skip

    def _unit(self, chance: random.Random) -> Unit:
        if chance.random() < 0.3:
            return [["MULTI"], *(self._command(chance) for _ in range(chance.randrange(1, 6))), ["EXEC"]]
        return [self._command(chance)]

    def work(self, connection: Connection, chance: random.Random) -> None:
        """Send units and count the replies until the connection ends."""
        while connection.usable:
            batch = [self._unit(chance) for _ in range(chance.randrange(1, BATCH))]
            self.sent += batch
            try:
                connection.send(b"".join(encode(command) for unit in batch for command in unit))
            except OSError:
                return
            for unit in batch:
                for _ in unit:
                    if connection.receive() in (CLOSED, SILENT):
                        return
                self.answered += 1
            self.answers.append((time.monotonic(), self.answered))

    # What must have come of it

    def state(self, call: Call) -> Any:
        """Everything that its keys hold, except for times."""
        keys = [self.key(kind) for kind in "nstlhmzx"]
        stream = self.key("x")
        facts = call("XINFO", "STREAM", stream)
        pending = [
            [part.text for part in (*entry.items[:2], *entry.items[3:])]
            for entry in parse(call("XPENDING", stream, "g", "-", "+", "10000")).items
        ]
        return (
            call("DEBUG", "DIGEST-VALUE", *keys),
            [call("PEXPIRETIME", key) for key in keys],
            call("HPEXPIRETIME", self.key("h"), "FIELDS", "30", *map(str, range(30))),
            _stable(facts),
            call("XINFO", "GROUPS", stream),
            pending,
        )

    def settle(self, found: Any, guaranteed: int) -> int:
        """Find how much was done by the state that was found; how many answered units are missing.

        At least `guaranteed` units of this round must have been. What is done is settled then.
        """
        # Nearly always it is what was answered, or a little more; otherwise search from the start.
        for first in (self.answered, guaranteed):
            session = make_session(make_broker(enable_debug_command="yes"))
            for unit in self.settled + self.sent[:first]:
                _do(session, unit)
            for done in range(first, len(self.sent) + 1):
                if self.state(partial(_call, session)) == found:
                    missing = max(0, self.answered - done)
                    self.settled += self.sent[:done]
                    self._begin()
                    return missing
                if done < len(self.sent):
                    _do(session, self.sent[done])
        raise AssertionError(
            f"{self.name}: the state is none of the history's; {len(self.settled)} units were there before, "
            f"{len(self.sent)} were sent, {self.answered} answered, of which {guaranteed} can't be missing: {found!r}"
        )

    def answered_before(self, moment: float) -> int:
        """How many units had been answered at that time."""
        return max((count for when, count in self.answers if when < moment), default=0)


def _call(session: Session, *words: str) -> bytes:
    return run(session, [word.encode() for word in words])


def _do(session: Session, unit: Unit) -> None:
    for command in unit:
        _call(session, *command)


def _stable(facts: bytes) -> list[bytes]:
    """The fields of XINFO STREAM that don't depend on how the stream was built."""
    items = parse(facts).items
    names = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"groups")
    return [value.text for name, value in zip(items[::2], items[1::2], strict=False) if name.text in names]
