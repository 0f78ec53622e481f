"""All that is measured, at one moment: the server's INFO, and the streams and queues that the pages show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from consumers.console.info import fields
from consumers.console.queues.library import Figures
from consumers.console.server import About, Unreachable, about_in
from consumers.console.streams import StreamFigures
from consumers.console.viewpoint import Viewpoint

__all__ = ["WAIT", "Reading", "read"]

WAIT = 5.0
"""Seconds that a reading waits for new figures of streams and queues; afterwards it has the ones before."""

SECTIONS = (b"server", b"clients", b"memory", b"stats", b"replication", b"persistence", b"keyspace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """time: seconds since 1970. up: whether the server answers. about: what it is, None if it does not tell. found:
    INFO's fields. streams, queues: None if they could not be read. trouble: why something is missing, or "".
    """

    time: float = field(default_factory=time.time)
    up: bool
    about: About | None = None
    found: Mapping[str, str] = field(default_factory=dict)
    streams: Sequence[StreamFigures] | None = None
    queues: Sequence[Figures] | None = None
    trouble: str = ""


async def read(viewpoint: Viewpoint, wait: float = WAIT) -> Reading:
    """Return a reading. Raises RedisError if the server refuses INFO."""
    try:
        found = fields(await viewpoint.server.call(b"INFO", *SECTIONS))
    except Unreachable as error:
        return Reading(up=False, trouble=str(error))
    streams, queues = await viewpoint.streams.latest(wait), await viewpoint.queues.latest(wait)
    failures = viewpoint.streams.error, viewpoint.queues.error
    # figures that can't be read any more would look as if nothing changed
    return Reading(
        up=True, about=about_in(found), found=found,
        streams=streams if failures[0] is None else None,
        queues=queues.figures if queues is not None and failures[1] is None else None,
        trouble=next((failure for failure in failures if failure is not None), ""),
    )  # fmt: skip
