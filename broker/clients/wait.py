"""One client's waiting command, as `broker.clients.blocking` keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from broker.keyspace.database import Database
from broker.process.timers import Timer
from broker.table.command import Handler


class Wait:
    """One client's waiting command.

    `handler` and `args` are what is executed again; `kind` is the class of value it can take (None: any change
    of the key counts, even its removal); `nil` is the reply at the time-out.
    """

    __slots__ = ("args", "database", "handler", "keys", "kind", "nil", "retry", "timeout")

    def __init__(
        self, handler: Handler, args: list[bytes], database: Database, keys: Sequence[bytes],
        kind: type[Any] | None, nil: bytes,
    ) -> None:  # fmt: skip
        self.handler = handler
        self.args = args
        self.database = database
        self.keys = keys
        self.kind = kind
        self.nil = nil
        self.timeout: Timer | None = None
        self.retry: Timer | None = None
