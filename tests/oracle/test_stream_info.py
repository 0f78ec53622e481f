"""XINFO and XPENDING beside redis-server."""

import re

from tests.oracle.harness import Loose, Masked, Skip, requires, same

pytestmark = requires("8.8")

SETUP = [
    *[f"XADD s {n} f v{n}" for n in range(1, 31)],
    "XGROUP CREATE s g 0",
    "XGROUP CREATE s empty $",
    "XREADGROUP GROUP g b COUNT 12 STREAMS s >",
    "XREADGROUP GROUP g a COUNT 3 STREAMS s >",
    "XGROUP CREATECONSUMER s g idle",
]


_IDLE_AND_COUNT = re.compile(rb":(\d+)\r\n(:\d+\r)")


def times(reply: bytes) -> bytes:
    """A mask for wall times in milliseconds, and the count of radix tree nodes."""
    head, name, rest = reply.partition(b"radix-tree-nodes\r\n")
    return re.sub(rb":1\d{12}\r", b":T\r", head + name + rest[rest.find(b"\n") :] if name else reply)


def idle(reply: bytes) -> bytes:
    """A mask for wall times and idle times; the latter to the second or so, so that 5000 and 9000 stay apart."""
    return _IDLE_AND_COUNT.sub(lambda match: b":<%d>\r\n%b" % (int(match[1]) // 1500, match[2]), times(reply))


def test_streams() -> None:
    same(
        [
            "XINFO STREAM s",
            *SETUP,
            "XINFO STREAM s",
            "XINFO stream s",
            Masked("XINFO STREAM s FULL", times),
            Masked("XINFO STREAM s FULL COUNT 3", times),
            Masked("XINFO STREAM s FULL COUNT 0", times),
            Masked("XINFO STREAM s FULL COUNT -3", times),
            "XTRIM s MAXLEN 0",
            "XINFO STREAM s",
            Masked("XINFO STREAM s full count 1", times),
        ]
    )


def test_groups_and_consumers() -> None:
    same(
        [
            "XINFO GROUPS s",
            "XINFO CONSUMERS s g",
            "XADD s 1 f v",
            "XINFO GROUPS s",
            "DEL s",
            *SETUP,
            "XINFO GROUPS s",
            Loose("XINFO CONSUMERS s g", 100),
            "XINFO CONSUMERS s empty",
            "XINFO CONSUMERS s nobody",
        ]
    )


def test_lag() -> None:
    """The cases of the streams' counters: deletions at, before and behind the group."""
    script: list[str] = []
    for deletions in ([], [1], [5], [10], [1, 2, 3], [4, 5, 6], [9, 10]):
        for position in (0, 1, 3, 5, 9, 10):
            script += ["DEL s", *[f"XADD s {n} f v" for n in range(1, 11)], "XGROUP CREATE s g 0"]
            if position:
                script.append(f"XREADGROUP GROUP g c COUNT {position} STREAMS s >")
            script += [f"XDEL s {n}" for n in deletions]
            script += [f"XGROUP CREATE s h {position}", "XINFO GROUPS s", "XREADGROUP GROUP g c COUNT 2 STREAMS s >"]
            script += [
                "XREADGROUP GROUP h c COUNT 2 STREAMS s >",
                "XINFO GROUPS s",
                "XTRIM s MAXLEN 3",
                "XINFO GROUPS s",
            ]
            script += ["XREADGROUP GROUP h c STREAMS s >", "XADD s 11 f v", "XINFO GROUPS s"]
    same(script, resp=(3,))


def test_errors() -> None:
    same(
        [
            *SETUP,
            "XINFO",
            "XINFO STREAM",
            "XINFO STREAM s FOO",
            "XINFO STREAM s FULL COUNT",
            "XINFO STREAM s FULL COUNT x",
            "XINFO STREAM s FULL FOO 3",
            "XINFO STREAM s FOO COUNT 3",
            "XINFO STREAM s FULL COUNT 3 x",
            "XINFO STREAM nokey FOO",
            "XINFO GROUPS",
            "XINFO GROUPS s g",
            "XINFO CONSUMERS s",
            "XINFO CONSUMERS s g x",
            "XINFO CONSUMERS nokey g",
            "XINFO FOO s",
            "XINFO FOO",
            Skip("XINFO HELP"),
            "XINFO HELP s",
            "SET k v",
            "XINFO STREAM k",
            "XINFO STREAM k FOO",
            "XINFO GROUPS k",
            "XINFO CONSUMERS k g",
        ]
    )


def test_pending_entries() -> None:
    same(
        [
            "XPENDING s g",
            *SETUP,
            "XPENDING s nobody",
            "XPENDING s empty",
            "XPENDING s g",
            Loose("XPENDING s g - + 100", 100),
            Loose("XPENDING s g - + 3", 100),
            Loose("XPENDING s g (3 (7 100", 100),
            Loose("XPENDING s g 3 7 100 b", 100),
            Loose("XPENDING s g - + 100 a", 100),
            "XPENDING s g - + 100 nobody",
            "XPENDING s g - + 0",
            "XPENDING s g - + -1",
            "XPENDING s g + - 10",
            "XCLAIM s g a 0 2 5 IDLE 5000 JUSTID",
            Loose("XPENDING s g IDLE 4000 - + 10", 100),
            Loose("XPENDING s g IDLE 4000 - + 10 a", 100),
            Loose("XPENDING s g IDLE -4000 13 + 10 a", 100),
            "XPENDING s g IDLE 4000 - + 10 b",
            "XACK s g 1 2 3 4 5 6 7 8 9 10 11 12",
            "XPENDING s g",
            "XACK s g 15",
            "XPENDING s g",
            "XPENDING s g -",
            "XPENDING s g - +",
            "XPENDING s g - + x",
            "XPENDING s g x + 10",
            "XPENDING s g - x 10",
            "XPENDING s g (x + 10",
            "XPENDING s g (18446744073709551615-18446744073709551615 + 10",
            "XPENDING s g - (0-0 10",
            "XPENDING s g IDLE x - + 10",
            "XPENDING s g IDLE 10 - +",
            Loose("XPENDING s g IDLE 0 - + 10 a b", 100),
            Loose("XPENDING s g - + 10 a b", 100),
            Loose("XPENDING s g - + 10 a b c", 100),
            "XPENDING nokey g x + 10",
            "SET k v",
            "XPENDING k g",
            "XPENDING k g x + 10",
        ]
    )
