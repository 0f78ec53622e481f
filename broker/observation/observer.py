"""Whatever must know how long commands take gets it here, from the executor.

Usually that is one comparison per command, or per run of requests for one command in a pipeline: did it take
`notice_at` seconds or more? Only if so is there anything to find out.

Consecutive requests for one command that is always fast are timed together, as a run. If a run took that long, the
request with the longest arguments and reply is charged with the time beyond what the other requests usually take. While
a threshold is below EXACT_BELOW there are no runs, so that all times are exact.
"""

from __future__ import annotations

from math import inf
from typing import Final

from broker.clients.session import Session
from broker.config import Config
from broker.observation.command_log import SizeLog
from broker.observation.latency import Latency
from broker.observation.redaction import redacted
from broker.observation.slowlog import SlowLog
from broker.table.command import BLOCKING, FAST, NO_LIMIT, SKIP_SLOWLOG, Command, CommandTable

EXACT_BELOW: Final = 0.005
"""The threshold, in seconds, below which each command is timed alone. A run takes less: it is what one read brings."""

_TIMED_IN_RUNS: Final = frozenset({b"set", b"setex", b"psetex", b"setbit"})
"""Commands that are always fast, besides those with the flag FAST."""

_ALWAYS: Final = -1.0  # for a threshold of 0: a time may be 0, or rounded to less


class Observer:
    """`notice_at` is the lowest threshold, in seconds; `tracking` whether histograms are kept.

    `large_request` and `large_reply` are the sizes in bytes from which on those are logged.
    """

    __slots__ = (
        "_commands", "_config", "_replies", "_requests", "large_reply", "large_request", "latency", "notice_at",
        "slowlog", "tracking",
    )  # fmt: skip

    def __init__(
        self, config: Config, commands: CommandTable, slowlog: SlowLog, latency: Latency,
        requests: SizeLog, replies: SizeLog,
    ) -> None:  # fmt: skip
        self._config = config
        self._commands = commands
        self.slowlog = slowlog
        self.latency = latency
        self._requests = requests
        self._replies = replies
        self.large_request = self.large_reply = NO_LIMIT
        self.notice_at = inf
        self.tracking = True
        self._configure(None)
        for name in (
            "slowlog-log-slower-than", "latency-monitor-threshold", "latency-tracking",
            "commandlog-request-larger-than", "commandlog-reply-larger-than",
        ):  # fmt: skip
            config.on_change(name, self._configure)

    def _configure(self, _: object) -> None:
        self.tracking = self._config.latency_tracking
        request, reply = self._requests.threshold(), self._replies.threshold()
        self.large_request = NO_LIMIT if request is None else min(request, NO_LIMIT)
        self.large_reply = NO_LIMIT if reply is None else min(reply, NO_LIMIT)
        slow = self.slowlog.threshold()
        spike = self._config.latency_monitor_threshold
        self.notice_at = min(inf if slow is None else slow or _ALWAYS, spike / 1000 if spike else inf)
        for command in self._commands:
            in_runs = (command.flags & FAST and not command.flags & BLOCKING) or command.name in _TIMED_IN_RUNS
            command.timed_alone = self.notice_at < EXACT_BELOW or not in_runs

    def noticed(self, session: Session, command: Command, args: list[bytes], seconds: float) -> None:
        """A command took at least `notice_at`."""
        self.latency.add("fast-command" if command.flags & FAST else "command", seconds * 1000)
        if not command.flags & SKIP_SLOWLOG:
            peer = b"" if session.is_script else session.transport.peer()
            self.slowlog.add(command.name, redacted(command.name, args), max(0.0, seconds), peer, session.name)

    def run_noticed(
        self, session: Session, command: Command, requests: list[list[bytes]], replies: list[bytes], seconds: float
    ) -> None:
        """Consecutive requests for one command took at least `notice_at` together; they have been counted already."""
        count = len(requests)
        mean = seconds / count
        if mean >= self.notice_at:
            for args in requests:
                self.noticed(session, command, args, mean)
            return
        earlier = command.calls - count
        usual = (command.seconds - seconds) / earlier if earlier else mean
        longest = seconds - usual * (count - 1)
        if longest >= self.notice_at:
            sizes = [sum(map(len, args)) + len(reply) for args, reply in zip(requests, replies, strict=True)]
            self.noticed(session, command, requests[sizes.index(max(sizes))], longest)

    def sizes_noticed(self, session: Session, requests: list[list[bytes]], replies: list[bytes]) -> None:
        """Among these requests or their replies may be large ones."""
        for args, reply in zip(requests, replies, strict=False):
            size = sum([len(b"$%d" % len(argument)) + len(argument) + 4 for argument in args])
            size += len(b"*%d\r\n" % len(args))
            if size >= self.large_request or len(reply) >= self.large_reply:
                command = self._commands.find(args)
                if command is not None and not command.flags & SKIP_SLOWLOG:
                    shown = redacted(command.name, args)
                    self._requests.add(shown, size, session.transport.peer(), session.name)
                    self._replies.add(shown, len(reply), session.transport.peer(), session.name)

    def reply_noticed(self, session: Session, command: Command, args: list[bytes], reply: bytes) -> None:
        """A transaction's command, or one whose client had to wait, has a large reply."""
        self._replies.add(redacted(command.name, args), len(reply), session.transport.peer(), session.name)
