"""A line in the log for everything that somebody has changed, or was refused."""

from __future__ import annotations

import logging

__all__ = ["audit", "logger"]

logger = logging.getLogger("consumers.console.audit")

TEXT_LIMIT = 200


def audit(user: str | None, address: str, action: str, **details: str | int | None) -> None:
    """Log an action. user: None if nobody has to log in. Texts are quoted, so none of them can look like a line."""
    shown = "".join(f" {name}={_quoted(value)}" for name, value in details.items() if value is not None)
    logger.info("user=%s address=%s action=%s%s", _quoted(user or "-"), _quoted(address), _quoted(action), shown)


def _quoted(value: str | int) -> str:
    text = str(value)
    cut = text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."
    plain = cut.isascii() and cut.isprintable() and not any(one in cut for one in " '\"=")
    return cut if plain and cut else ascii(cut)
