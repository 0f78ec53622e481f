"""What the log says while a broker starts: its version and build, what it was configured to do, where it listens.

Launchers and test containers wait for some of redis-server's words, which therefore stand in these lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from broker.config import Config
from broker.native import COMPILED, build
from broker.process.kernel import OVERCOMMIT_WARNING, refuses_overcommit
from broker.process.log import Log
from broker.process.supervision import VARIABLES
from broker.version import REDIS_VERSION, VERSION

LOOPBACK: Final = ("127.", "[::1]", "::1")


def log_start(config: Config, log: Log) -> None:
    """Log what starts, and what it is configured to do."""
    log.notice(
        f"Running mode=standalone, port={config.port}, PID: {os.getpid()}",
        trimaran=VERSION,
        build=build(),
        file=config.file or "-",
    )
    if build() != COMPILED:
        log.warning(
            "this is the slow build: compiled modules are missing, or disabled by TRIMARAN_PURE. Install a C compiler,"
            " then reinstall the broker",
            build=build(),
        )
    log.notice(f"Implements the commands of Redis version={REDIS_VERSION}")
    log.notice(
        "Configuration loaded",
        persistence=persistence_text(config),
        maxmemory=config.maxmemory or "unlimited",
        policy=config.maxmemory_policy,
        maxclients=config.maxclients,
        protected_mode="yes" if config.protected_mode else "no",
        password="yes" if config.requirepass else "no",
    )
    if (config.save or config.appendonly) and refuses_overcommit():
        log.warning(OVERCOMMIT_WARNING)


def log_without_effect(config: Config, log: Log) -> None:
    """Name the directives that were given a value which changes nothing."""
    if changed := config.without_effect():
        log.notice("these directives have no effect here", names=" ".join(changed))


def log_supervision(config: Config, supervisor: str, log: Log) -> None:
    """Warn of a supervisor that was named but has not started this process: it would wait for a sign in vain."""
    wanted = config.supervised
    if wanted in VARIABLES and wanted != supervisor:
        log.warning(f"{wanted} supervision requested, but {VARIABLES[wanted]} not found")


def log_ready(config: Config, log: Log, addresses: Sequence[str]) -> None:
    """Log a line per kind of listener. Launchers and test containers wait for it, some of them for the asterisk."""
    if addresses or not (config.unixsocket or config.tls_port):
        where = " ".join(addresses)
        log.notice("* Ready to accept connections tcp", port=config.port, addresses=where, dir=config.dir)
    if config.unixsocket:
        log.notice("* Ready to accept connections unix", path=config.unixsocket, dir=config.dir)
    if config.tls_port:
        log.notice("* Ready to accept connections tls", port=config.tls_port, dir=config.dir)
    exposed = [address for address in addresses if not address.startswith(LOOPBACK)]
    if exposed and not config.requirepass and not config.protected_mode:
        log.warning(
            "anyone who can reach these addresses may do anything: there is no password, and protected-mode is off",
            addresses=" ".join(exposed),
        )


def persistence_text(config: Config) -> str:
    """How data is kept, in a few words."""
    kept = []
    if config.appendonly:
        kept.append(f"appendonly with appendfsync {config.appendfsync}")
    if config.save:
        kept.append("save " + " ".join(f"{point.seconds} {point.changes}" for point in config.save))
    return ", ".join(kept) or "none"
