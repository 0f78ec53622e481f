"""Notifying the init system that started the broker: progress, readiness, life, shutdown.

systemd reads datagrams of `NAME=value` lines from the Unix socket named by NOTIFY_SOCKET (sd_notify(3)); a name that
begins with `@` is in Linux's abstract namespace. Upstart waits for the process to stop itself.
"""

import os
import signal
import socket
import time
from collections.abc import Mapping
from typing import Final

SYSTEMD: Final = "systemd"
UPSTART: Final = "upstart"

VARIABLES: Final = {UPSTART: "UPSTART_JOB", SYSTEMD: "NOTIFY_SOCKET"}
"""What each supervisor sets in the environment of a process that is to notify it."""

READY: Final = "Ready to accept connections"

EXTENSION_SECONDS: Final = 30
"""How much more time a start gets for each report that it goes on."""


def supervisor_of(wanted: str, environment: Mapping[str, str]) -> str:
    """The process's supervisor, by the directive `supervised` and the environment: SYSTEMD, UPSTART, or ""."""
    for name, variable in VARIABLES.items():
        if wanted in (name, "auto") and environment.get(variable):
            return name
    return ""


def watchdog_seconds(environment: Mapping[str, str], pid: int) -> float:
    """The interval within which systemd wants to hear that this process is alive (`WatchdogSec=`); 0 for never."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isascii() and text.isdigit() else 0


class Supervision:
    """Notifies the supervisor, if there is one. `watchdog`: see watchdog_seconds()."""

    def __init__(self, supervisor: str = "", address: str = "", watchdog: float = 0) -> None:
        self._supervisor = supervisor
        # Twice per interval, as sd_watchdog_enabled(3) recommends.
        self.interval = watchdog / 2 if supervisor == SYSTEMD else 0.0
        self._next_sign = 0.0
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def status(self, text: str) -> None:
        """Send a line for people, which `systemctl status` shows."""
        self._notify(f"STATUS={text}")

    def ready(self) -> None:
        """Report that clients are now being served."""
        self._notify(f"STATUS={READY}\nREADY=1")
        if self._supervisor == UPSTART:
            os.kill(os.getpid(), signal.SIGSTOP)

    def reloading(self) -> None:
        """Report that a reload (SIGHUP) has begun; ready() ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def starting(self, status: str) -> None:
        """Report that the start goes on, however long it takes."""
        self._notify(f"STATUS={status}\nEXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}")

    def alive(self) -> None:
        """Report that the broker is alive, if it is time to."""
        if self.interval and time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + self.interval / 2
            self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that the broker is shutting down."""
        self._notify("STOPPING=1")

    def _notify(self, lines: str) -> None:
        if self._supervisor != SYSTEMD:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as sender:
                # A supervisor that does not read must not hold up the broker.
                sender.setblocking(False)
                sender.sendto(lines.encode("utf-8", "backslashreplace"), self._address)
        except (OSError, ValueError):
            # Nothing listens there; a supervisor that cares will notice that READY never came.
            return
