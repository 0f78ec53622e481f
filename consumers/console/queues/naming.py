"""Names of queues whose library was given another prefix for its keys, or a namespace.

With the usual prefix a queue goes by its own name. With another one, the prefix is part of the name, before the last
colon; Dramatiq and BullMQ permit no colon in a queue's name.
"""

from __future__ import annotations

__all__ = ["joined", "parted"]


def joined(prefix: str, name: str, usual: str) -> str:
    """The name under which the console knows a queue."""
    return name if prefix == usual else f"{prefix}:{name}"


def parted(queue: str, usual: str) -> tuple[str, str]:
    """The prefix and the library's own name of such a queue."""
    prefix, colon, name = queue.rpartition(":")
    return (prefix, name) if colon else (usual, queue)
