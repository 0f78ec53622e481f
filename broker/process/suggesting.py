"""What somebody may have meant who mistyped a word."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean X?` with the known word that is most like `word`, or nothing if none is."""
    # Imported only here: a command that is right does not pay for it.
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {found[0]}?" if found else ""
