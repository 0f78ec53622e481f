"""The keys around a list `orders`, all with its hash tag so that a cluster keeps them together.

{orders}:processing:NAME    a list: what the consumer NAME has in hand, in the order in which it took it
{orders}:alive:NAME         its heartbeat, a key that expires
{orders}:consumers          a set: the names of consumers that have, or may have, elements in hand
{orders}:recovered          a hash: how often an element was found with a dead consumer, by its digest
{orders}:suspects           a list: elements that were found there after two crashes; each of them runs alone
{orders}:alone:NAME         the suspect that NAME is running, with no other handler at work
{orders}:dead               a list: elements that were given up, the latest last
"""

from hashlib import blake2b

__all__ = ["ListKeys", "digest"]


def digest(element: bytes) -> bytes:
    """The field for an element in {orders}:recovered, since elements may be long."""
    return blake2b(element, digest_size=16).digest()


class ListKeys:
    """Key names for one list."""

    def __init__(self, name: str, dead_letter: str | None) -> None:
        tag = name if "{" in name else f"{{{name}}}"
        self.list = name
        self.consumers = f"{tag}:consumers"
        self.recovered = f"{tag}:recovered"
        self.suspects = f"{tag}:suspects"
        self.dead = f"{tag}:dead" if dead_letter is None else dead_letter
        self._tag = tag

    def processing(self, consumer: str) -> str:
        return f"{self._tag}:processing:{consumer}"

    def alone(self, consumer: str) -> str:
        return f"{self._tag}:alone:{consumer}"

    def alive(self, consumer: str) -> str:
        return f"{self._tag}:alive:{consumer}"
