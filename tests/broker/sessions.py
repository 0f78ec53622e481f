"""Clients without connections: requests go straight to dispatch, so that tests of waiting need no tasks and no timing.

What the tick would do between requests is left to the test; only replies are looked at.
"""

from broker.config import Config
from broker.core import Broker
from broker.log import Log
from broker.propagation import Effects
from broker.session import Session
from tests.oracle.wire import encode, split


class Peer:
    """The far end of a client; `gone` says that it has hung up."""

    def __init__(self) -> None:
        self.gone = False

    def peer(self) -> bytes:
        return b"127.0.0.1:1"

    def local(self) -> bytes:
        return b"127.0.0.1:0"

    def is_local(self) -> bool:
        return True

    def limits_changed(self) -> None:
        pass

    def sizes(self) -> tuple[int, int, int, int]:
        return 0, 0, 0, 0

    def close_soon(self) -> None:
        self.gone = True

    def abort(self) -> None:
        self.gone = True


class Client:
    """One client."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.peer = Peer()
        self.session: Session = broker.open_session(self.peer)

    @property
    def waits(self) -> bool:
        """Whether the client waits for a key."""
        return self.session.waiting is not None

    def do(self, *words: str | bytes) -> bytes:
        """Execute a command (a text is split as redis-cli does); everything the client is sent by it."""
        assert not self.waits, "a client that waits sends nothing"
        if len(words) == 1 and isinstance(words[0], str):
            words = tuple(split(words[0]))
        self.broker.clock.update()
        request = [word if isinstance(word, bytes) else word.encode() for word in words]
        self.broker.dispatcher.execute(self.session, [request])
        return self.take()

    def take(self) -> bytes:
        """What the client has been sent since it was last looked at."""
        sent = b"".join(self.session.out)
        self.session.out.clear()
        return sent

    def hang_up(self) -> None:
        """Go, without the broker having noticed."""
        self.session.kill()


def new_broker() -> Broker:
    """A broker with default directives that nobody serves."""
    return Broker(Config(), Log("nothing"))


def journal(broker: Broker) -> Effects:
    """What the broker propagates from now on."""
    seen: Effects = []
    broker.keyspace.propagation.sinks.append(seen.extend)
    return seen


def bulk(element: str) -> bytes:
    """A bulk string as it is sent."""
    return encode([element]).partition(b"\r\n")[2]


def bulks(*elements: str) -> bytes:
    """An array of bulk strings as it is sent."""
    return encode(elements)
