"""One stream with partitions: its groups over all of them, and each partition with who has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coredis.exceptions import ResponseError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.connecting import Client
from consumers.console import stream_entries
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.entered import raw
from consumers.console.labels import label
from consumers.console.partitioned import numbers_of_partitions
from consumers.console.streams import StreamFigures, measure, summed
from consumers.console.views import acted, confirm, link, query_of, render
from consumers.deadletters import redrive
from consumers.errors import ConsumerError
from consumers.names import decoded
from consumers.partitions import members_key, partition_stream
from consumers.streams.membership import partition_owners

__all__ = ["ROUTES"]

SHOWN = 128
"""Partitions on a page."""

GROUPS = 10
"""Groups whose owners are asked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A partition. figures: None if nothing was added there yet. owners: of the groups that have one, by group."""

    number: int
    key: bytes
    figures: StreamFigures | None
    owners: list[tuple[bytes, str]]


async def _show(request: Request) -> Response:
    query = query_of(request)
    name = query.get("stream", "")
    try:
        first = int(query.get("from", "0")[:4])
    except ValueError:
        raise HTTPException(400, "There is no such page of partitions.") from None
    async with visit_of(request).server.client() as client:
        keys = await _keys(client, name)
        partitions = len(keys)
        found = {one.name: one for one in await measure(client, keys)}
        dead = await _holds_letters(client, list(found.values()))
        whole = summed(raw(name), partitions, list(found.values()))
        shown = range(partitions)[max(0, first) : max(0, first) + SHOWN]
        owners = await _owners(client, name, [group.name for group in whole.groups[:GROUPS]], shown)
    after = shown.stop if shown and shown.stop < partitions else None
    return render(
        request, "partitions.html", name=raw(name), whole=whole,
        rows=[Row(number, keys[number], found.get(keys[number]), owners.get(number, [])) for number in shown],
        dead=dead, redrive=link("/streams/redrive-partitions", stream=name), most=stream_entries.REDRIVEN,
        paged=first > 0, first=link("/streams/partitions", stream=name),
        following=None if after is None else link("/streams/partitions", stream=name, **{"from": after}),
    )  # fmt: skip


async def _keys(client: Client, name: str) -> list[bytes]:
    """Return the keys of all partitions. Raises HTTPException if the name is not that of a stream with partitions."""
    numbers = await numbers_of_partitions(client, [_key(name, 0)])
    if raw(name) not in numbers:
        raise HTTPException(404, "There is no such stream with partitions.")
    return [_key(name, number) for number in range(numbers[raw(name)])]


def _key(name: str, number: int) -> bytes:
    return raw(partition_stream(name, number))


async def _holds_letters(client: Client, found: Sequence[StreamFigures]) -> bool:
    """Whether it is a stream of dead letters, as one of them shows: nothing else is put there."""
    for one in found:
        if one.entries:
            newest, _ = await stream_entries.entries(client, one.name, None, 1)
            return any(entry.letter is not None for entry in newest)
    return False


async def _owners(
    client: Client, name: str, groups: Sequence[bytes], partitions: Sequence[int]
) -> dict[int, list[tuple[bytes, str]]]:
    """Return who has the partitions, where this user may know."""
    owners: dict[int, list[tuple[bytes, str]]] = {}
    for group in groups:
        try:
            key = members_key(name, decoded(group))
            found = await partition_owners(client, raw(key), partitions)
        except ResponseError:
            # a group of another kind of program, or not for this user
            continue
        for number, owner in zip(partitions, found, strict=True):
            if owner is not None:
                owners.setdefault(number, []).append((group, owner))
    return owners


async def _redrive(request: Request, form: Form) -> Response:
    name = query_of(request).get("stream", "")
    back = link("/streams/partitions", stream=name)
    async with visit_of(request).server.client() as client:
        keys = await _keys(client, name)
        question = (
            f"Return the oldest {stream_entries.REDRIVEN} dead letters of {label(raw(name))} to where they came from?"
        )
        if asked := confirm(request, form, question, "Redrive", back, "One partition comes after the other."):
            return asked
        done = 0
        try:
            for key in keys:
                done += await redrive(client, key, count=stream_entries.REDRIVEN - done)
                if done >= stream_entries.REDRIVEN:
                    break
        except ConsumerError as error:
            raise HTTPException(409, f"This can't be redriven: {error}.") from None
    notice = "1 dead letter was redriven." if done == 1 else f"{done} dead letters were redriven."
    return acted(request, back, notice, "redrive", stream=decoded(raw(name)), redriven=done)


ROUTES = [Route("/streams/partitions", _show), form_route("/streams/redrive-partitions", _redrive)]
