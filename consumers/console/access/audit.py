"""A line in the log for everything that somebody has changed, or was refused."""

from __future__ import annotations

import logging

__all__ = ["audit", "logger"]

logger = logging.getLogger("consumers.console.audit")

TEXT_LIMIT = 200


def audit(user: str | None, address: str, action: str, **details: str | int | None) -> None:
    """Log an action. user: None if nobody has to log in. Texts are quoted, so none of them can look like a line."""
    summary = f"user={_quoted(user or '-')} address={_quoted(address)} action={_quoted(action)}"
    shown = " ".join(f"{name}={_quoted(value)}" for name, value in details.items() if value is not None)
    # apart as well, for logs that must not name what users have stored
    logger.info("%s", f"{summary} {shown}".rstrip(), extra={"summary": summary, "details": shown})


def _quoted(value: str | int) -> str:
    text = str(value)
    cut = text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."
    plain = cut.isascii() and cut.isprintable() and not any(one in cut for one in " '\"=")
    return cut if plain and cut else ascii(cut)
