"""What readers ask of the consumer groups of the streams in which libraries keep their jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from consumers.connecting import Reply
from consumers.console.asking import pairs, text

__all__ = ["entry_order", "groups_in", "is_entry_id", "last_delivered"]

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


def is_entry_id(text: str) -> bool:
    """Whether the text is the whole ID of an entry."""
    return _ID.fullmatch(text) is not None


def entry_order(id: str) -> tuple[int, int]:
    """An entry's ID as a pair that sorts as entries do."""
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence)


def groups_in(reply: Reply) -> list[Mapping[bytes, Any]]:
    """Return the groups in a reply of XINFO GROUPS; none for the error by which a missing stream is answered."""
    return [pairs(group) for group in reply] if isinstance(reply, list) else []


def last_delivered(group: Mapping[bytes, Any]) -> str:
    """The ID of the last entry that a group's consumers have fetched."""
    return text(group[b"last-delivered-id"])
