"""Notifying the init system that started the broker: progress, readiness, shutdown.

systemd reads datagrams of `NAME=value` lines from the Unix socket named by NOTIFY_SOCKET (sd_notify(3)); a name that
begins with `@` is in Linux's abstract namespace. Upstart waits for the process to stop itself.
"""

import os
import signal
import socket
from collections.abc import Mapping
from typing import Final

SYSTEMD: Final = "systemd"
UPSTART: Final = "upstart"

READY: Final = "Ready to accept connections"


def supervisor_of(wanted: str, environment: Mapping[str, str]) -> str:
    """The process's supervisor, by the directive `supervised` and the environment: SYSTEMD, UPSTART, or ""."""
    for name, variable in ((UPSTART, "UPSTART_JOB"), (SYSTEMD, "NOTIFY_SOCKET")):
        if wanted in (name, "auto") and environment.get(variable):
            return name
    return ""


class Supervision:
    """Notifies the supervisor, if there is one."""

    def __init__(self, supervisor: str = "", address: str = "") -> None:
        self._supervisor = supervisor
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def status(self, text: str) -> None:
        """Send a line for people, which `systemctl status` shows."""
        self._notify(f"STATUS={text}")

    def ready(self) -> None:
        """Report that clients are now being served."""
        self._notify(f"STATUS={READY}\nREADY=1")
        if self._supervisor == UPSTART:
            os.kill(os.getpid(), signal.SIGSTOP)

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
