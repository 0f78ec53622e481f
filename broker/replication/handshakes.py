"""What clients have said with REPLCONF: what they are able to read, and what they want of the RDB file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker.table.arguments import at_least, integer
from protocol.errors import SYNTAX, CommandError
from protocol.inline import split_line
from protocol.replies import NO_REPLY, OK

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.clients.session import Session

ADDRESS_MAX: Final = 256
VERSION_NUMBERS: Final = 3
FIRST_WITH_OWN_FILES: Final = (9, 0, 0)
"""The first version of Valkey whose files differ from Redis's."""

MISSING_FILTER: Final = b"ERR Missing rdb-filter-only values"
NO_COMPRESSION: Final = b"ERR Master has not enabled replication compression"


@dataclass(slots=True)
class Handshake:
    """What a client has said.

    `end_mark` is whether it recognises a file's end by a mark, so that its size need not be known before; `renames` is
    whether it accepts another ID when it continues. `port` and `address` are where it can be reached itself, 0 and ""
    if it has not said that. `version` is Valkey's version, as three numbers; other servers don't tell theirs.
    """

    rdb_only: bool = False
    end_mark: bool = False
    renames: bool = False
    with_keys: bool = True
    with_functions: bool = True
    port: int = 0
    address: str = ""
    version: tuple[int, int, int] | None = None

    @property
    def filtered(self) -> bool:
        """Whether the client wants only a part of the file."""
        return not (self.with_keys and self.with_functions)

    @property
    def reads_valkey_files(self) -> bool:
        """Whether it reads Valkey's own form of the file."""
        return self.version is not None and self.version >= FIRST_WITH_OWN_FILES


_switch: Final = at_least(0, b"ERR value is out of range, value must between 0 and 1", 1)


class Handshakes:
    """The settings of the clients that have sent REPLCONF."""

    def __init__(self, acknowledge: Callable[[Session, int, int | None], None]) -> None:
        """`acknowledge` is called with the offsets that a replica reports (see Replicas.acknowledge)."""
        self._acknowledge = acknowledge
        self._settings: dict[Session, Handshake] = {}

    def of(self, session: Session) -> Handshake:
        """The client's settings so far, which may be changed."""
        return self._settings.setdefault(session, Handshake())

    def forget(self, session: Session) -> None:
        """Forget a client that has disconnected. (Sessions, compiled, must not be referenced weakly.)"""
        self._settings.pop(session, None)

    def _report(self, session: Session, pairs: list[bytes]) -> None:
        try:
            offset = integer(pairs[1])
            synced = integer(pairs[3]) if len(pairs) > 3 and pairs[2].lower() == b"fack" else None
        except CommandError:
            return
        self._acknowledge(session, offset, synced)

    def configure(self, session: Session, pairs: list[bytes]) -> bytes:
        """Apply pairs of options and values, in order, and return the reply. Raises CommandError.

        Replicas report how far they are with `ack`, and with `getack` a master asks for that; neither is answered.
        """
        if len(pairs) % 2:
            raise CommandError(SYNTAX)
        settings = self.of(session)
        for option, value in zip(pairs[::2], pairs[1::2], strict=True):
            name = option.lower()
            if name == b"ack":
                self._report(session, pairs)
                return NO_REPLY
            if name == b"getack":
                return NO_REPLY
            if name == b"rdb-only":
                settings.rdb_only = bool(_switch(value))
            elif name == b"rdb-filter-only":
                _filter(settings, value)
            elif name == b"capa":
                settings.end_mark = settings.end_mark or value.lower() == b"eof"
                settings.renames = settings.renames or value.lower() == b"psync2"
            elif name == b"listening-port":
                settings.port = integer(value)
            elif name == b"version":
                settings.version = _version(value)
            elif name == b"ip-address":
                if len(value) >= ADDRESS_MAX:
                    raise CommandError(
                        b"ERR REPLCONF ip-address provided by replica instance is too long: %d bytes" % len(value)
                    )
                settings.address = value.decode(errors="replace")
            elif name in (b"rdb-channel", b"rdb-no-compress", b"rdb-no-checksum"):
                _switch(value)
            elif name == b"compression":
                integer(value)
                raise CommandError(NO_COMPRESSION)
            elif name == b"main-ch-client-id":
                raise CommandError(b"ERR Unrecognized RDB client id: %d" % integer(value))
            else:
                raise CommandError(b"ERR Unrecognized REPLCONF option: %b" % option)
        return OK


def _version(value: bytes) -> tuple[int, int, int]:
    """Returns the numbers of a version such as 9.1.0. Raises CommandError."""
    numbers = value.split(b".")
    if len(numbers) != VERSION_NUMBERS or not all(number.isdigit() for number in numbers):
        raise CommandError(b"ERR Unrecognized version format: %b" % value)
    major, minor, patch = map(int, numbers)
    return major, minor, patch


def _filter(settings: Handshake, value: bytes) -> None:
    """Leave out everything that the value does not name. Raises CommandError."""
    words = split_line(value)
    if words is None:
        raise CommandError(MISSING_FILTER)
    settings.with_keys = settings.with_functions = False
    for word in words:
        if word.lower() != b"functions":
            raise CommandError(b"ERR Unsupported rdb-filter-only option: %b" % word)
        settings.with_functions = True
