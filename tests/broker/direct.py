"""Clients whose commands go straight to the dispatcher: for unit tests of commands, especially those that wait."""

from broker.broker import Broker
from tests.broker.sessions import make_session, taken
from tests.broker.sessions import run as run_commands
from tests.oracle.wire import encode


class Client:
    """One client of a broker that is not being served."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.session = make_session(broker)

    @property
    def waits(self) -> bool:
        """Whether the client is waiting for a key."""
        return self.session.waiting is not None

    def do(self, command: str | list[bytes]) -> bytes:
        """Execute a command (a str is split as redis-cli does); returns everything it sends to the client."""
        assert not self.waits, "a client that waits sends nothing"
        return run_commands(self.session, command)

    def take(self) -> bytes:
        """Everything sent to the client since the last call."""
        return taken(self.session)


def bulk(element: str) -> bytes:
    """A bulk string as it is sent."""
    return encode([element]).partition(b"\r\n")[2]


def bulks(*elements: str) -> bytes:
    """An array of bulk strings as it is sent."""
    return encode(elements)
