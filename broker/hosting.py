"""What the broker's process is to its system, by directives: its title, its priority when memory runs out, its CPUs,
its reports of crashes. Only for a broker that is a process of its own; one inside another program leaves that alone.
"""

from __future__ import annotations

import sys
from typing import Final

import trio

from broker.config import Config
from broker.persistence.rewriting import KIND as REWRITE
from broker.process import collation
from broker.process.cpus import stay_on
from broker.process.crash_log import LEAST_PERIOD_MS, CrashLog
from broker.process.kernel import disable_huge_pages, uses_huge_pages
from broker.process.log import Log
from broker.process.oom_score import BROKER, CHILD, REFUSED, OomScore
from broker.process.title import expand, listen_address, set_title

NAME: Final = "trimaran"

SAVE_TITLE: Final = "redis-rdb-bgsave"
REWRITE_TITLE: Final = "redis-aof-rewrite"
"""Titles of children, which monitoring looks for."""


class Hosting:
    """Applies the directives to this process, and follows their changes."""

    def __init__(self, config: Config, log: Log, oom_score: OomScore | None = None) -> None:
        self._config = config
        self._log = log
        self._oom_score = oom_score or OomScore(log.warning)
        self._crash_log = CrashLog(log)
        self._title = title_of(sys.argv[0])
        self._watched = trio.Event()

    def begin(self) -> None:
        """Apply everything, and follow the directives from now on."""
        config = self._config
        self._show_title(None)
        self._oom_score.apply(config.oom_score_adj, config.oom_score_adj_values, BROKER)
        stay_on(config.server_cpulist, self._log.warning)
        if config.disable_thp and uses_huge_pages() and not disable_huge_pages():
            self._log.warning("huge pages can't be disabled: saves will copy more memory, and latency suffers")
        self._crash_log.enable(config.crash_log_enabled)
        try:
            collation.choose(config.locale_collate)
        except ValueError:
            self._log.warning("Failed to configure LOCALE for invalid locale name", name=config.locale_collate)
        self._watch(config.watchdog_period)
        for name in ("port", "tls-port", "bind", "proc-title-template"):
            config.on_change(name, self._show_title)
        for name in ("oom-score-adj", "oom-score-adj-values"):
            config.on_change(name, self._adjust)
        config.on_change("locale-collate", collation.choose)
        config.on_change("crash-log-enabled", self._crash_log.enable)
        config.on_change("watchdog-period", self._watch)

    def child_begins(self, kind: str) -> None:
        """Called in a child process that saves or rewrites, before it begins."""
        config = self._config
        rewrites = kind == REWRITE
        self._crash_log.enable(False)  # its descriptor is closed here
        if config.set_proc_title:
            set_title(self._expanded(REWRITE_TITLE if rewrites else SAVE_TITLE))
        self._oom_score.apply(config.oom_score_adj, config.oom_score_adj_values, CHILD)
        stay_on(config.aof_rewrite_cpulist if rewrites else config.bgsave_cpulist, self._log.warning)

    async def run(self) -> None:
        """Report that the process is not stuck, while `watchdog-period` wants to hear it."""
        while True:
            await self._watched.wait()
            self._crash_log.alive()
            await trio.sleep(LEAST_PERIOD_MS / 2000)

    def end(self) -> None:
        """Stop reporting crashes: the log is about to be closed."""
        self._crash_log.watch(0)
        self._crash_log.enable(False)

    def _show_title(self, _: object) -> None:
        if self._config.set_proc_title:
            set_title(self._expanded(self._title))

    def _expanded(self, title: str) -> str:
        config = self._config
        values = {
            "title": title,
            "listen-addr": listen_address(config.bind, config.port, config.tls_port, config.unixsocket),
            "port": str(config.port),
            "tls-port": str(config.tls_port),
            "unixsocket": config.unixsocket,
            "config-file": config.file or "-",
        }
        return expand(config.proc_title_template, values)

    def _adjust(self, _: object) -> None:
        config = self._config
        if not self._oom_score.apply(config.oom_score_adj, config.oom_score_adj_values, BROKER):
            raise ValueError(REFUSED)

    def _watch(self, period_ms: int) -> None:
        if period_ms:
            period_ms = self._config.watchdog_period = max(period_ms, LEAST_PERIOD_MS)
            self._watched.set()
        elif self._watched.is_set():
            self._watched = trio.Event()
        self._crash_log.watch(period_ms)


def title_of(program: str) -> str:
    """The title of a process that was started by this name."""
    return NAME if program.endswith("__main__.py") or not program else program
