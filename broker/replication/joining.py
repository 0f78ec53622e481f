"""The conversation by which a replica joins its master: PING, AUTH, REPLCONF, and PSYNC with its three answers.

What is sent is what redis-server 7 sends, and the version by which Valkey chooses a format of RDB files that holds
everything (without it, its child fails on hashes with fields that expire). Nothing is said of a second connection for
the RDB file, so masters send it on this one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker.replication.incoming import LinkLost
from protocol.replies import bulks

if TYPE_CHECKING:
    from broker.config import Config
    from broker.process.log import Log
    from broker.replication.incoming import Incoming

SPOKEN_VERSION: Final = b"9.1.0"
"""The version of Valkey whose RDB files and stream are understood here."""

NO_OFFSET: Final = -1

_SILENT: Final = "Master did not respond to command during SYNC handshake"
_NO_REPLY: Final = "Master did not reply to PSYNC, will try later"
_LATER: Final = (b"-NOMASTERLINK", b"-LOADING")
_PING_REPLIES: Final = (b"+", b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted")
_FULL: Final = re.compile(rb"\+FULLRESYNC ([0-9a-fA-F]{40}) (\d{1,19})")
_CONTINUE: Final = re.compile(rb"\+CONTINUE(?: ([0-9a-fA-F]{40}))?[ \t]*")

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Known:
    """How far this replica's data have come in which stream; `id` is "" if no master can continue from there."""

    id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The master's answer. If `whole`, an RDB file follows, and then the stream from `offset` on.

    Otherwise the stream continues where this replica has got to. `id` is "" if the master did not say, or does not know
    about streams (`offset` is NO_OFFSET then).
    """

    whole: bool
    id: str
    offset: int


class Rejected(LinkLost):
    """The server that was asked to take over refuses."""


class Joining:
    """One conversation; `port` and `config` say how this replica can be reached, and who it is."""

    def __init__(self, config: Config, log: Log, incoming: Incoming, send: Send, port: int) -> None:
        self._config = config
        self._log = log
        self._incoming = incoming
        self._send = send
        self._port = port

    async def join(self, known: Known, *, failover: bool = False) -> Accepted:
        """Hold the conversation; with `failover`, ask the other side to take over as master. Raises LinkLost."""
        await self._greet()
        await self._introduce()
        return await self._ask(known, failover)

    async def _reply(self) -> bytes:
        return await self._incoming.line("I/O error reading from master", _SILENT)

    async def _greet(self) -> None:
        await self._send(bulks([b"PING"]))
        reply = await self._reply()
        if not reply.startswith(_PING_REPLIES):
            raise LinkLost(f"Error reply to PING from master: '{_shown(reply)}'")
        self._log.notice("Master replied to PING, replication can continue...")

    async def _introduce(self) -> None:
        config = self._config
        credentials = [config.masteruser, config.masterauth] if config.masteruser else [config.masterauth]
        commands = []
        if config.masterauth:
            commands.append([b"AUTH", *credentials])
        port = config.replica_announce_port or self._port
        commands.append([b"REPLCONF", b"listening-port", b"%d" % port])
        if config.replica_announce_ip:
            commands.append([b"REPLCONF", b"ip-address", config.replica_announce_ip.encode()])
        commands.append([b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])
        commands.append([b"REPLCONF", b"version", SPOKEN_VERSION])
        await self._send(b"".join(map(bulks, commands)))
        for words in commands:
            reply = await self._reply()
            if not reply.startswith(b"-"):
                continue
            if words[0] == b"AUTH":
                raise LinkLost(f"Unable to AUTH to MASTER: {_shown(reply)}")
            option = words[1].decode()
            if option != "version":  # only Valkey knows it
                self._log.notice(f"(Non critical) Master does not understand REPLCONF {option}: {_shown(reply)}")

    async def _ask(self, known: Known, failover: bool) -> Accepted:
        id, offset = (known.id, known.offset + 1) if known.id else ("?", -1)
        if known.id:
            self._log.notice(f"Trying a partial resynchronization (request {id}:{offset}).")
        else:
            self._log.notice("Partial resynchronization not possible (no cached master)")
        words = [b"PSYNC", id.encode(), b"%d" % offset]
        await self._send(bulks([*words, b"FAILOVER"] if failover else words))
        reply = b""
        while not reply:  # empty lines keep the connection alive
            reply = await self._incoming.line(_NO_REPLY, _NO_REPLY)
        if full := _FULL.fullmatch(reply):
            self._log.notice(f"Full resync from master: {full[1].decode()}:{int(full[2])}")
            return Accepted(True, full[1].decode().lower(), int(full[2]))
        if known.id and (continued := _CONTINUE.fullmatch(reply)):
            self._log.notice("Successful partial resynchronization with master.")
            return Accepted(False, (continued[1] or b"").decode().lower(), known.offset)
        if reply.startswith(_LATER):
            raise LinkLost(
                f"Master is currently unable to PSYNC but should be in the future: {_shown(reply)}", later=True
            )
        if failover:
            raise Rejected(f"Failover target rejected psync request: {_shown(reply)}")
        if not reply.startswith(b"-ERR"):
            raise LinkLost(f"Unexpected reply to PSYNC from master: {_shown(reply)}")
        self._log.notice(f"Master does not support PSYNC or is in error state (reply: {_shown(reply)})")
        self._log.notice("Retrying with SYNC...")
        await self._send(b"SYNC\r\n")
        return Accepted(True, "", NO_OFFSET)


def _shown(reply: bytes) -> str:
    return reply[:256].decode("utf-8", "backslashreplace")
