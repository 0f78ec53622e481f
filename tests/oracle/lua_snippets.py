"""Lua expressions as EVAL commands whose replies tell their results, or errors, to the last digit."""

from collections.abc import Iterator, Sequence
from itertools import islice

from tests.broker.scripting.libraries.snippets import PREAMBLE
from tests.oracle.harness import AnyCommand

__all__ = ["expressions", "script"]

# The expressions of one script: few enough that a difference is found soon.
TOGETHER = 20

COLLECT = """
local results = {}
local function add(...) results[#results + 1] = shown(...) end
"""


def script(texts: Sequence[str], *arguments: bytes) -> AnyCommand:
    """One EVAL of several expressions, each in a function of its own under pcall; ARGV holds the arguments."""
    calls = "\n".join(f"add(pcall(function() return kept({text}) end))" for text in texts)
    return ["EVAL", (PREAMBLE + COLLECT + calls + "\nreturn results").encode("latin-1"), "0", *arguments]


def expressions(texts: Sequence[str], *arguments: bytes) -> Iterator[AnyCommand]:
    """EVALs of any number of expressions, in their order."""
    rest = iter(texts)
    while group := list(islice(rest, TOGETHER)):
        yield script(group, *arguments)
