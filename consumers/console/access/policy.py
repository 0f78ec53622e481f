"""The rules under which a console runs, decided at its start."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Login", "Policy", "check_exposure", "host_of", "is_loopback"]


class Login(Enum):
    """NONE: nobody logs in. PASSWORD: one password for all. SERVER: with names and passwords that the server knows."""

    NONE = "none"
    PASSWORD = "password"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Policy:
    """password: that of Login.PASSWORD. hosts: the names, in lower case, under which the console may be reached.

    proxy: the address whose X-Forwarded-For and X-Forwarded-Proto are believed; None: nobody's.
    """

    login: Login = Login.NONE
    password: str = ""
    read_only: bool = False
    hosts: frozenset[str] = frozenset()
    proxy: str | None = None

    def __post_init__(self) -> None:
        if self.login is Login.PASSWORD and not self.password:
            raise ValueError("the password is empty")

    def admits_host(self, header: str) -> bool:
        """Whether a request with this Host header is meant for this console.

        A page from elsewhere whose own name suddenly resolves to this machine (DNS rebinding) sends that name. An
        address is nobody's name.
        """
        host = host_of(header)
        if host in self.hosts or host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def host_of(header: str) -> str:
    """Return a Host header's name or address, in lower case, without the port and an IPv6 address's brackets."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(addresses: Iterable[str], login: Login) -> None:
    """Raise ValueError if others than this machine's users could use the console without logging in."""
    exposed = [address for address in addresses if not is_loopback(address)]
    if exposed and login is Login.NONE:
        raise ValueError(
            f"without a login the console only listens on this machine, not on {exposed[0] or 'all addresses'}: "
            "require a password, or the server's own users"
        )
