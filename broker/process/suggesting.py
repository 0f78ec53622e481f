"""What is said about a mistake on the command line: always one line, and what was probably meant."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Final

MISTAKE: Final = 2
"""The exit status of a command whose arguments are wrong."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns `; did you mean X?` with the known word that is most like `word`, or nothing if none is."""
    # Imported only here: a command that is right does not pay for it.
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean {found[0]}?" if found else ""


def mistake(command: str, problem: object) -> int:
    """Say what is wrong with the arguments of `trimaran COMMAND`, and where they are explained. Returns MISTAKE."""
    sys.stderr.write(f"trimaran {command}: {problem}; see trimaran {command} --help\n")
    return MISTAKE
