"""One client's waiting command, as `broker.clients.blocking` keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from broker.keyspace.database import Database
from broker.process.timers import Timer
from broker.table.command import Handler


class Wait:
    """One client's waiting command.

    `handler(session, args)` is executed again when a key changes. `value_type` is the class of value that it can use;
    None means that any change of the key counts, even its removal. `timeout_reply` is the reply after the timeout, and
    empty if only what the client waits for can end the wait (MIGRATE). `request` is what the client sent, and `seconds`
    the time that it has been executed so far. `ended(session)`, if given, is called when the wait is over, for whatever
    reason.
    """

    __slots__ = (
        "args",
        "database",
        "ended",
        "handler",
        "keys",
        "request",
        "retry",
        "seconds",
        "timeout",
        "timeout_reply",
        "value_type",
    )

    def __init__(
        self, handler: Handler, args: list[bytes], database: Database, keys: Sequence[bytes],
        value_type: type[Any] | None, timeout_reply: bytes,
    ) -> None:  # fmt: skip
        self.handler = handler
        self.args = args
        self.request = args
        self.seconds = 0.0
        self.database = database
        self.keys = keys
        self.value_type = value_type
        self.timeout_reply = timeout_reply
        self.timeout: Timer | None = None
        self.retry: Timer | None = None
        self.ended: Callable[[Any], None] | None = None
