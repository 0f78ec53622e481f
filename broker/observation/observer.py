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
from broker.observation.latency import Latency
from broker.observation.redaction import redacted
from broker.observation.slowlog import SlowLog
from broker.table.command import BLOCKING, FAST, SKIP_SLOWLOG, Command, CommandTable

EXACT_BELOW: Final = 0.005
"""The threshold, in seconds, below which each command is timed alone. A run takes less: it is what one read brings."""

_TIMED_IN_RUNS: Final = frozenset({b"set", b"setex", b"psetex", b"setbit"})
"""Commands that are always fast, besides those with the flag FAST."""

_ALWAYS: Final = -1.0  # for a threshold of 0: a time may be 0, or rounded to less


class Observer:
    """`notice_at` is the lowest threshold, in seconds; `tracking` whether histograms are kept."""

    __slots__ = ("_commands", "_config", "latency", "notice_at", "slowlog", "tracking")

    def __init__(self, config: Config, commands: CommandTable, slowlog: SlowLog, latency: Latency) -> None:
        self._config = config
        self._commands = commands
        self.slowlog = slowlog
        self.latency = latency
        self.notice_at = inf
        self.tracking = True
        self._configure(None)
        for name in ("slowlog-log-slower-than", "latency-monitor-threshold", "latency-tracking"):
            config.on_change(name, self._configure)

    def _configure(self, _: object) -> None:
        self.tracking = self._config.latency_tracking
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
