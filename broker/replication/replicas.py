"""The clients that receive the stream: this broker's replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.clients.session import Session


class Replica:
    """A client that receives the stream, or will once it has a snapshot.

    `acknowledged` is the offset that it has reported last.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.acknowledged = 0


class Replicas:
    """The replicas; `online` are those that receive the stream, in the order in which they came."""

    def __init__(self) -> None:
        self.online: list[Replica] = []

    def deliver(self) -> None:
        """Have the tick send what was added to the history."""

    def disconnect_all(self) -> None:
        """Close the connections of all replicas: what they may continue with has changed."""
        for replica in list(self.online):
            replica.session.kill()
