"""Generated sequences over streams with groups: every reply and the whole state beside redis-server."""

import re

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import Masked, examples, requires, same
from tests.oracle.test_stream_info import idle

pytestmark = requires("8.10")

KEYS = st.sampled_from(["s", "s", "s", "t"])
GROUPS = st.sampled_from(["g", "g", "g", "h"])
CONSUMERS = st.sampled_from(["a", "b", "c"])
IDS = st.integers(1, 25).map(str)
MANY_IDS = st.lists(IDS, min_size=1, max_size=4)
COUNTS = st.integers(1, 6).map(str)
POLICIES = st.sampled_from(["", "KEEPREF", "DELREF", "ACKED"])
BOUNDS = st.one_of(IDS, IDS.map("({}".format), st.sampled_from(["-", "+"]))


def line(*parts: object) -> "st.SearchStrategy[str]":
    """Words and strategies of words, joined by spaces."""
    strategies = [part if isinstance(part, st.SearchStrategy) else st.just(str(part)) for part in parts]
    return st.tuples(*strategies).map(
        lambda words: " ".join(" ".join(w) if isinstance(w, list) else str(w) for w in words)
    )


def numbered(ids: list[str]) -> str:
    return f"IDS {len(ids)} {' '.join(ids)}"


COMMANDS = st.one_of(
    line("XADD", KEYS, IDS, "f v"),
    line("XADD", KEYS, "{next}", "f v"),
    line("XADD", KEYS, "{next}", "f v g w"),
    line("XADD", KEYS, POLICIES, "MAXLEN", st.sampled_from(["", "~"]), st.integers(0, 20), "{next}", "f v"),
    line("XDEL", KEYS, MANY_IDS),
    line("XTRIM", KEYS, "MAXLEN", st.sampled_from(["", "~"]), st.integers(0, 20), POLICIES),
    line("XTRIM", KEYS, "MINID", st.sampled_from(["", "~"]), IDS, POLICIES),
    line("XDELEX", KEYS, POLICIES, MANY_IDS.map(numbered)),
    line("XACKDEL", KEYS, GROUPS, POLICIES, MANY_IDS.map(numbered)),
    line("XGROUP CREATE", KEYS, GROUPS, st.sampled_from(["0", "$", "5"]), st.sampled_from(["", "ENTRIESREAD 3"])),
    line("XGROUP SETID", KEYS, GROUPS, st.sampled_from(["0", "$", "7"]), st.sampled_from(["", "ENTRIESREAD 3"])),
    line("XGROUP DESTROY", KEYS, GROUPS),
    line("XGROUP CREATECONSUMER", KEYS, GROUPS, CONSUMERS),
    line("XGROUP DELCONSUMER", KEYS, GROUPS, CONSUMERS),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "COUNT", COUNTS, "STREAMS", KEYS, ">"),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "COUNT", COUNTS, "STREAMS", KEYS, ">"),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "NOACK COUNT", COUNTS, "STREAMS", KEYS, ">"),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "COUNT", COUNTS, "STREAMS", KEYS, IDS),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "COUNT", COUNTS, "CLAIM 3000 STREAMS", KEYS, ">"),
    line("XREADGROUP GROUP", GROUPS, CONSUMERS, "MAXSIZE 1 CLAIM 0 STREAMS", KEYS, ">"),
    line("XACK", KEYS, GROUPS, MANY_IDS),
    line("XNACK", KEYS, GROUPS, st.sampled_from(["FAIL", "SILENT", "FATAL"]), MANY_IDS.map(numbered),
         st.sampled_from(["", "FORCE", "RETRYCOUNT 4", "FORCE RETRYCOUNT 0"])),
    line("XCLAIM", KEYS, GROUPS, CONSUMERS, st.sampled_from(["0", "3000"]), MANY_IDS,
         st.sampled_from(["", "JUSTID", "FORCE", "IDLE 5000", "FORCE IDLE 9000 JUSTID", "TIME 1000", "RETRYCOUNT 3"])),
    line("XAUTOCLAIM", KEYS, GROUPS, CONSUMERS, st.sampled_from(["0", "3000"]), IDS, "COUNT", COUNTS,
         st.sampled_from(["", "JUSTID"])),
    line("XPENDING", KEYS, GROUPS),
    line("XPENDING", KEYS, GROUPS, BOUNDS, BOUNDS, COUNTS, st.one_of(st.just(""), CONSUMERS)),
    line("XRANGE", KEYS, BOUNDS, BOUNDS, "COUNT", COUNTS),
    line("XREVRANGE", KEYS, BOUNDS, BOUNDS, "COUNT", COUNTS),
    line("XREAD COUNT", COUNTS, "STREAMS", KEYS, IDS),
    line("XSETID", KEYS, st.integers(20, 40)),
    line("XINFO GROUPS", KEYS),
    line("COPY", KEYS, "u REPLACE"),
)  # fmt: skip

_INTEGERS = re.compile(rb":\d+\r")


@examples(80)
@given(st.integers(1, 8), st.lists(COMMANDS, min_size=5, max_size=50))
def test_sequences(node: int, commands: list[str]) -> None:
    ids = iter(range(5, 1000))
    script = ["XGROUP CREATE s g 0 MKSTREAM", *[f"XADD s {n} f v" for n in (1, 2, 3, 4)]]
    script += [command.replace("{next}", str(next(ids))) if "{next}" in command else command for command in commands]
    found = [Masked(command, idle) for command in script]
    found += [Masked(f"XINFO STREAM {key} FULL COUNT 0", idle) for key in ("s", "t", "u")]
    found += [Masked(f"XREADGROUP GROUP g z CLAIM 0 STREAMS {key} >", _numbers) for key in ("s", "t", "u")]
    same(
        [f"CONFIG SET stream-node-max-entries {node}", *found],
        resp=(3,),
        cleanup=["CONFIG SET stream-node-max-entries 100"],
    )


def _numbers(reply: bytes) -> bytes:
    """Which entries are claimed, and in which order."""
    return _INTEGERS.sub(b":n\r", reply)
