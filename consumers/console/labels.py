"""What clients have named or sent, as one line that is safe to show; and sizes."""

from __future__ import annotations

__all__ = ["label", "size"]

LIMIT = 120
"""Characters of a text that are shown in a table or as a name."""


def label(value: bytes | str, limit: int = LIMIT) -> str:
    """Return a value as one line of limited length; what can't be printed is escaped."""
    text = value if isinstance(value, str) else value[: 4 * limit].decode("utf-8", "backslashreplace")
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)
    return cut if len(text) <= limit and len(value) <= 4 * limit else f"{cut}…"


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
