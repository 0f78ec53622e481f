"""What an init system that started the broker is told: when it serves, how far it is, that it ends.

systemd reads datagrams of `NAME=value` lines from a Unix socket that NOTIFY_SOCKET names (sd_notify(3)); a name that
begins with `@` is in Linux's abstract namespace. Upstart watches for the process stopping itself.
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
    """Who supervises the process, by the directive `supervised` and the environment: SYSTEMD, UPSTART, or ""."""
    for name, variable in ((UPSTART, "UPSTART_JOB"), (SYSTEMD, "NOTIFY_SOCKET")):
        if wanted in (name, "auto") and environment.get(variable):
            return name
    return ""


class Supervision:
    """Tells the supervisor; by default there is none."""

    def __init__(self, supervisor: str = "", address: str = "") -> None:
        self._supervisor = supervisor
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def status(self, text: str) -> None:
        """A line for people, which `systemctl status` shows."""
        self._notify(f"STATUS={text}")

    def ready(self) -> None:
        """Clients are served from now on."""
        self._notify(f"STATUS={READY}\nREADY=1")
        if self._supervisor == UPSTART:
            os.kill(os.getpid(), signal.SIGSTOP)

    def stopping(self) -> None:
        """The broker is about to end."""
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
            # Nobody listens there; who needs to know will see that READY never came.
            return
