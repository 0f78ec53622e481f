"""A job that was given up, as it is in the dead-letter stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from consumers.deadletters import DeadLetter
from consumers.jobs.payloads import decoder

__all__ = ["PLAIN", "DeadJob", "dead_job"]

PLAIN = decoder(Any)
"""Decodes values without an annotation."""


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that was given up. entry_id: its ID in the dead-letter stream. time: when, in seconds since 1970."""

    id: str
    name: str
    arguments: dict[str, Any]
    reason: str
    time: float
    entry_id: str


def dead_job(letter: DeadLetter) -> DeadJob | None:
    """The job in a dead letter; None for an entry that is not a job."""
    try:
        id, name = letter.fields["id"].decode(), letter.fields["job"].decode()
        arguments = PLAIN(letter.fields["args"])
    except (KeyError, UnicodeDecodeError, msgspec.DecodeError):
        return None
    if not isinstance(arguments, dict):
        return None
    return DeadJob(id, name, arguments, letter.reason, letter.time, letter.id)
