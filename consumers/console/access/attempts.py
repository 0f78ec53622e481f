"""How often somebody may try to log in."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Attempts"]

ALLOWED = 5
"""Failed attempts after which an address has to wait."""

SECONDS = 60.0
"""How long it waits, and after which its failures are forgotten."""

ADDRESSES = 4096
"""Addresses that are remembered; the oldest are forgotten first."""


class Attempts:
    """Failed logins by address. An IPv6 network of 64 bits counts as one address: one customer usually has it all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return the seconds until the address may try again; 0 if it may now."""
        count, last = self._failures.get(_network(address), (0, 0.0))
        return max(0.0, last + SECONDS - self._clock()) if count >= ALLOWED else 0.0

    def failed(self, address: str) -> None:
        """Count a failure."""
        name, now = _network(address), self._clock()
        count, last = self._failures.pop(name, (0, now))
        self._failures[name] = (count + 1 if now - last < SECONDS else 1, now)
        while len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the address's failures."""
        self._failures.pop(_network(address), None)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
