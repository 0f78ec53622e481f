"""The dead-letter stream: entries that no handler could process, with the reason, and the way back.

A dead entry keeps its own fields and also gets the fields below. Adding it and acknowledging the original is one
MULTI/EXEC, so an entry is never missing from both places. It can be in the dead-letter stream twice if the connection
broke in that instant and another consumer got the entry meanwhile: (dead-stream, dead-id, dead-group) identifies it.

Redriving adds the original fields to the end of the origin stream and deletes the dead entry, in one MULTI/EXEC. Other
groups of that stream have already handled the entry: the field redriven-group says for which group it came back, and
consumers of this library in other groups skip it. Redriven to another stream instead, it is new to all groups there.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from consumers.connection import Client, Command, Link, client_slot, open_link
from consumers.errors import ConsumerError
from consumers.headers import REPLY_TOKEN
from consumers.names import decoded, encoded

__all__ = [
    "REDRIVEN_GROUP",
    "DeadLetter",
    "check_target",
    "dead_letter_command",
    "dead_letters",
    "is_anothers",
    "read_letter",
    "reason_text",
    "redrive",
    "way_back",
]

STREAM, ID, GROUP = b"dead-stream", b"dead-id", b"dead-group"
REASON, DELIVERIES, CONSUMER, TIME = b"dead-reason", b"dead-delivery-count", b"dead-consumer", b"dead-time"
REDRIVEN_GROUP, REDRIVEN_ID = b"redriven-group", b"redriven-id"
_OURS = frozenset(
    # the caller of a dead entry has been told
    (STREAM, ID, GROUP, REASON, DELIVERIES, CONSUMER, TIME, REDRIVEN_GROUP, REDRIVEN_ID, REPLY_TOKEN.encode())
)

REASON_LIMIT = 1000
"""Characters of a reason that are kept: exception texts may hold a whole request."""

PAGE = 100


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead entry. `id` is its ID in the dead-letter stream; stream, entry_id and group are its origin.

    fields: those of the original entry; of several with one name the last. values: all of them as they are, fields and
    values in turn. delivery_count: how often it was delivered. time: seconds since 1970.
    Names that are not UTF-8 are as in names.py.
    """

    id: str
    stream: str
    entry_id: str
    group: str
    reason: str
    delivery_count: int
    consumer: str
    time: float
    fields: dict[str, bytes]
    values: tuple[bytes, ...] = field(repr=False)


def reason_text(reason: str) -> bytes:
    """Return a reason as it is stored. An error may name anything, such as a file whose name is no valid text."""
    return reason[:REASON_LIMIT].encode("utf-8", "replace")


def dead_letter_command(
    dead_letter: str,
    *,
    origin: tuple[str, str, str, str],
    values: Sequence[bytes],
    reason: str,
    deliveries: int,
    maxlen: int | None,
) -> Command:
    """XADD of an entry to the dead-letter stream. origin: stream, ID, group, consumer. values: fields and values."""
    stream, id, group, consumer = map(encoded, origin)
    limit: tuple[bytes | int, ...] = () if maxlen is None else (b"MAXLEN", b"~", maxlen)
    kept = [one for pair in _pairs(values) if pair[0] not in _OURS for one in pair]
    return (
        b"XADD", dead_letter, *limit, b"*", *kept,
        STREAM, stream, ID, id, GROUP, group, REASON, reason_text(reason), DELIVERIES, deliveries,
        CONSUMER, consumer, TIME, int(time.time() * 1000),
    )  # fmt: skip


def _pairs(values: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(values[::2], values[1::2], strict=True))


def read_letter(id: bytes, values: Sequence[bytes]) -> DeadLetter | None:
    """The dead letter in an entry, or None for an entry that is not one of ours."""
    pairs = _pairs(values)
    about = {name: decoded(value) for name, value in pairs if name in _OURS}
    kept = [pair for pair in pairs if pair[0] not in _OURS]
    if STREAM not in about or ID not in about:
        return None
    count, when = about.get(DELIVERIES, ""), about.get(TIME, "")
    return DeadLetter(
        id=id.decode(),
        stream=about[STREAM],
        entry_id=about[ID],
        group=about.get(GROUP, ""),
        reason=encoded(about.get(REASON, "")).decode("utf-8", "replace"),
        delivery_count=int(count) if count.isdecimal() else 0,
        consumer=about.get(CONSUMER, ""),
        time=int(when) / 1000 if when.isdecimal() else 0.0,
        fields={decoded(name): value for name, value in kept},
        values=tuple(chain.from_iterable(kept)),
    )


def is_anothers(fields: Mapping[str, bytes], group: str) -> bool:
    """Whether an entry was redriven for another group (and does not merely have that word among its values)."""
    own = encoded(group)
    return fields.get(REDRIVEN_GROUP.decode(), own) != own


async def check_target(link: Link, dead_letter: str | None) -> None:
    """Raise ConsumerError if the dead-letter key is not a stream: a transaction would find out too late.

    A transaction is not rolled back, so the entry would be acknowledged and lost.
    """
    if dead_letter is not None:
        (kind,) = await link.execute([(b"TYPE", dead_letter)])
        if isinstance(kind, bytes) and kind not in (b"stream", b"none"):
            raise ConsumerError(f"{dead_letter} can't take dead letters, it is a {kind.decode()}")


async def dead_letters(client: Client, dead_letter: str | bytes) -> AsyncGenerator[DeadLetter, None]:
    """Yield the dead letters that are in a stream at the start, oldest first.

    Entries that die meanwhile are not included, so the listing ends however fast a consumer adds to it. Entries that
    are not dead letters are skipped. Raises ConnectionError and other errors of coredis.
    """
    dead_letter = encoded(dead_letter)
    newest: Any = await client.xrevrange(dead_letter, count=1).raw(decode_response=False)
    if not newest:
        return
    after, last = "-", newest[0][0].decode()
    while page := await _page(client, dead_letter, after, last):
        for id, values in page:
            if letter := read_letter(id, values):
                yield letter
        after = f"({page[-1][0].decode()}"


async def _page(client: Client, stream: bytes, first: str, last: str) -> list[tuple[bytes, list[bytes]]]:
    reply: Any = await client.xrange(stream, start=first, end=last, count=PAGE).raw(decode_response=False)
    return [(entry[0], entry[1]) for entry in reply]


async def redrive(
    client: Client,
    dead_letter: str | bytes,
    *,
    where: Callable[[DeadLetter], bool] | None = None,
    count: int | None = None,
    to: str | None = None,
    execute: Callable[[DeadLetter, list[Command]], Awaitable[bool]] | None = None,
) -> int:
    """Return dead letters to the stream they came from, oldest first; returns how many.

    Covers only those that exist at the start: an entry that dies again meanwhile stays dead until the next redrive.

    where: only those for which this is true. count: at most this many. to: another stream instead of each one's
    origin. execute: gets each one with the commands that return it, and may execute them in a transaction of its own;
    if it returns False, they are executed here.

    If two programs run this at the same time, or it is repeated after a lost connection, an entry may come back twice:
    handlers must be idempotent anyway. In a cluster both streams need a common hash tag. Raises ConsumerError if they
    have none, and errors of coredis.
    """
    done, dead_letter = 0, encoded(dead_letter)
    async with open_link(client, dead_letter) as link, aclosing(dead_letters(client, dead_letter)) as letters:
        async for letter in letters:
            if count is not None and done >= count:
                break
            if where is None or where(letter):
                target = letter.stream if to is None else to
                if client_slot(client, encoded(target)) != client_slot(client, dead_letter):
                    raise ConsumerError(f"{decoded(dead_letter)} and {target} are in different slots of the cluster")
                commands = way_back(dead_letter, letter, target)
                if execute is None or not await execute(letter, commands):
                    for reply in await link.transaction(commands):
                        if isinstance(reply, Exception):
                            raise reply
                done += 1
    return done


def way_back(dead_letter: str | bytes, letter: DeadLetter, target: str) -> list[Command]:
    """The commands that move a dead letter's entry to a stream, to be executed as one transaction."""
    values = [*letter.values, REDRIVEN_ID, encoded(letter.entry_id)]
    if target == letter.stream:
        # in another stream the entry is new to all groups
        values += [REDRIVEN_GROUP, encoded(letter.group)]
    return [(b"XADD", encoded(target), b"*", *values), (b"XDEL", dead_letter, letter.id)]
