"""Stream commands with generated arguments, right and wrong: the same refusals in the same order as redis-server's."""

import re

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import Masked, examples, requires, same, stream_ids
from tests.oracle.test_stream_info import idle

pytestmark = requires("8.10")

# fmt: off
WORDS = [
    "s", "s", "s", "t", "k", "nokey", "g", "g", "h", "c", "d", "0", "1", "2", "3", "5", "9", "-1", "-5", "x", "*", "-",
    "+", "$", ">", "(", "(2", "(x", "2-*", "3-1", "1-1-1", "99", "007", "~", "=", "f", "v", "9223372036854775808",
    "18446744073709551615-18446744073709551615", "IDS", "IDS", "COUNT", "MAXLEN", "MINID", "LIMIT", "KEEPREF", "DELREF",
    "ACKED", "NOMKSTREAM", "IDMP", "IDMPAUTO", "STREAMS", "STREAMS", "GROUP", "NOACK", "CLAIM", "MAXCOUNT", "MAXSIZE",
    "FORCE", "JUSTID", "IDLE", "TIME", "RETRYCOUNT", "LASTID", "SILENT", "FAIL", "FATAL", "ENTRIESADDED",
    "MAXDELETEDID", "ENTRIESREAD", "MKSTREAM", "FULL", "IDMP-DURATION", "IDMP-MAXSIZE", "count", "streams", "acked",
]

# Beginnings that get past the first checks, so that the generated rest matters.
BEGINNINGS = [
    "XADD", "XADD s", "XADD s MAXLEN", "XADD s MAXLEN ~ 2", "XADD s IDMP p", "XADD s MINID", "XTRIM s",
    "XTRIM s MAXLEN ~", "XTRIM s MINID 2", "XDEL s", "XDELEX s", "XDELEX s IDS", "XACKDEL s g", "XACKDEL s g IDS 2",
    "XACK s", "XACK s g", "XNACK s g FAIL", "XNACK s g FAIL IDS 2", "XNACK s g SILENT IDS 1 2", "XRANGE s",
    "XRANGE s - +", "XREVRANGE s", "XREVRANGE s + -", "XREAD", "XREAD COUNT 2", "XREAD STREAMS",
    "XREAD COUNT 1 STREAMS s",
    "XREADGROUP", "XREADGROUP GROUP g c", "XREADGROUP GROUP g c COUNT 1 STREAMS", "XREADGROUP GROUP g c STREAMS s t",
    "XSETID s", "XSETID s 99", "XCLAIM s g c", "XCLAIM s g c 0", "XCLAIM s g c 0 1 2", "XAUTOCLAIM s g c",
    "XAUTOCLAIM s g c 0", "XAUTOCLAIM s g c 0 0", "XPENDING s g", "XPENDING s g IDLE 0", "XPENDING s g - +", "XGROUP",
    "XGROUP CREATE", "XGROUP CREATE s n", "XGROUP CREATE t n 0", "XGROUP SETID s g", "XGROUP DESTROY s",
    "XGROUP CREATECONSUMER s g", "XGROUP DELCONSUMER s g", "XINFO", "XINFO STREAM s", "XINFO STREAM s FULL",
    "XINFO GROUPS", "XINFO CONSUMERS s", "XCFGSET s", "XCFGSET s IDMP-DURATION", "XIDMPRECORD s p i", "XLEN",
]
# fmt: on

COMMANDS = st.tuples(
    st.sampled_from(BEGINNINGS),
    st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join),
).map(" ".join)

SETUP = [
    *[f"XADD s {n} f v" for n in range(1, 8)],
    "XADD t 3 f v",
    "SET k v",
    "XGROUP CREATE s g 0",
    "XGROUP CREATE t g 0",
    "XREADGROUP GROUP g c COUNT 4 STREAMS s >",
    "XREADGROUP GROUP g d COUNT 1 STREAMS s >",
]

_IDLE = re.compile(rb"(idle|inactive)\r\n:\d+")


def masked(reply: bytes) -> bytes:
    """Times, and IDs made from them."""
    return _IDLE.sub(rb"\1", idle(stream_ids(reply)))


@examples(120)
@given(st.lists(COMMANDS, min_size=5, max_size=25))
def test_arguments(commands: list[str]) -> None:
    same([Masked(command, masked) for command in (*SETUP, *commands)], resp=(3,))
