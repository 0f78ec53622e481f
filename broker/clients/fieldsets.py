"""The field names that clients have prepared for importing hashes (HIMPORT).

They belong to a connection, and to a script's run if a script prepares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.clients.session import Session


class Fieldset:
    """Names in the order that the client gave, in which the values come; the hash has them sorted, as in Redis."""

    __slots__ = ("names", "order")

    def __init__(self, names: list[bytes]) -> None:
        self.names = names
        self.order = sorted(range(len(names)), key=lambda at: (len(names[at]), names[at]))


class Fieldsets:
    """The fieldsets of all clients, by name."""

    def __init__(self) -> None:
        self._of_clients: dict[Session, dict[bytes, Fieldset]] = {}
        self._run: object = None
        self._of_run: dict[bytes, Fieldset] = {}

    def of(self, session: Session, run: object) -> dict[bytes, Fieldset]:
        """The client's own, which may be changed; `run` identifies the script that is running, if one is calling."""
        if not session.is_script:
            return self._of_clients.setdefault(session, {})
        if self._run is not run:
            self._run = run
            self._of_run = {}
        return self._of_run

    def forget(self, session: Session) -> None:
        """Forget those of a client that has disconnected, or was reset."""
        self._of_clients.pop(session, None)
