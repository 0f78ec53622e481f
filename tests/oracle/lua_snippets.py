"""Lua expressions as EVAL commands whose replies show their results, or errors, to the last digit."""

from collections.abc import Iterator, Sequence
from itertools import islice

from tests.broker.scripting.libraries.snippets import PREAMBLE
from tests.oracle.harness import AnyCommand

__all__ = ["expressions", "script"]

# Expressions per script: few enough that a difference is quickly located.
TOGETHER = 20

COLLECT = """
local results = {}
local function add(...) results[#results + 1] = shown(...) end
"""


def script(texts: Sequence[str], *arguments: bytes) -> AnyCommand:
    """One EVAL of several expressions, each in its own function under pcall; ARGV holds the arguments."""
    calls = "\n".join(f"add(pcall(function() return kept({text}) end))" for text in texts)
    return ["EVAL", (PREAMBLE + COLLECT + calls + "\nreturn results").encode("latin-1"), "0", *arguments]


def expressions(texts: Sequence[str], *arguments: bytes) -> Iterator[AnyCommand]:
    """EVALs of any number of expressions, in order."""
    rest = iter(texts)
    while group := list(islice(rest, TOGETHER)):
        yield script(group, *arguments)
