"""Sessions without sockets: a broker's parts, driven by hand, for unit tests of the core."""

from broker.broker import Broker
from broker.clients.backlog import Backlog
from broker.clients.session import Session
from broker.clients.transport import NoTransport
from broker.commands import command_table
from broker.config import Config
from broker.process.clock import Clock
from broker.process.log import Log
from broker.process.poller import Watches, create_poller
from protocol.replies import OK
from tests.oracle.wire import split


class Wire(NoTransport):
    """A transport that only records its calls."""

    def __init__(self) -> None:
        self.closed_soon = False
        self.aborted = False
        self.delayed = False
        self.backlog = Backlog()

    def peer(self) -> bytes:
        return b"127.0.0.1:1"

    def local(self) -> bytes:
        return b"127.0.0.1:2"

    def is_local(self) -> bool:
        return True

    def replace_backlog(self, backlog: Backlog) -> bool:
        self.backlog = backlog
        return True

    def delay_small_packets(self) -> None:
        self.delayed = True

    def close_soon(self) -> None:
        self.closed_soon = True

    def abort(self) -> None:
        self.aborted = True


class StoppedClock(Clock):
    """The wall clock and the stopwatch stand still; a test advances the latter with `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__()

    def update(self) -> int:
        self.now = 1_700_000_000_000
        return self.now

    def stopwatch(self) -> float:  # type: ignore[override]
        return self.seconds


def make_slow(broker: Broker, clock: StoppedClock, *names: bytes, per_second: int = 1) -> None:
    """Let these commands take as long as their last argument says, in units of which a second has so many."""

    def take(session: Session, args: list[bytes]) -> bytes:
        clock.seconds += float(args[-1]) / per_second
        return OK

    for name in names:
        broker.commands.by_name[name].handler = take


def make_broker(clock: Clock | None = None, watches: Watches | None = None, **directives: object) -> Broker:
    """A broker that serves no clients; directives by attribute name."""
    config = Config()
    config.save = ()  # FLUSHALL would write a file into the folder that the tests run in
    for name, value in directives.items():
        setattr(config, name, value)
    watches = watches or Watches(create_poller())
    commands = command_table(extensions=config.stream_extensions)
    return Broker(config, Log("nothing"), commands, watches, lambda caller: None, lambda options: False, clock)


def make_session(broker: Broker) -> Session:
    """One of its clients, over a `Wire`."""
    return broker.open_session(Wire())


def run(session: Session, *commands: str | list[bytes]) -> bytes:
    """Execute commands as one pipeline; returns what was queued for the client, and removes it."""
    requests = [split(command) if isinstance(command, str) else command for command in commands]
    session.broker.dispatcher.execute(session, requests)
    return taken(session)


def taken(session: Session) -> bytes:
    """Return what is queued for the client, and remove it."""
    sent = b"".join(session.out)
    session.out.clear()
    return sent
