"""The keys around a list `orders`, all with its hash tag so that a cluster keeps them together.

{orders}:processing:NAME    what the consumer NAME has in hand, in the order in which it took it
{orders}:alive:NAME         its heartbeat, a key that runs out
{orders}:consumers          a set: the names of consumers that have, or may have, elements in hand
{orders}:recovered          a hash: how often an element was found in a dead consumer's hand, by its digest
{orders}:suspects           a list: elements that were found there at two crashes; each of them is to run alone
{orders}:alone:NAME         the one of them that NAME runs, with no other handler at work
{orders}:dead               a list: elements that were given up, the latest last
"""

from hashlib import blake2b

__all__ = ["ListKeys", "digest"]


def digest(element: bytes) -> bytes:
    """What stands for an element in {orders}:recovered: elements may be long."""
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
