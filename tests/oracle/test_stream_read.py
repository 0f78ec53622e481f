"""XLEN, XRANGE, XREVRANGE and XREAD beside redis-server."""

from tests.oracle.harness import requires, same

pytestmark = requires("8.10")

ENTRIES = [f"XADD s {n}-{m} f {n}{m}" for n in range(1, 60) for m in range(1, 5)]
BAD_IDS = ["x", "(", "(x", "(-", "(+", "-x", "++", "1-", '""', "(1-*", "1-*", "*"]


def test_ranges() -> None:
    bounds = [("-", "+"), ("5", "7"), ("(5-2", "(7-2"), ("5", "5"), ("5-3", "5-3"), ("(5", "(6"), ("7", "5"),
              ("90", "+"), ("-", "0"), ("(59-4", "+"), ("(0-0", "2"), ("-", "(1-1"), ("+", "-"), ("05", " 6"),
              ("25-2", "26-1")]  # fmt: skip
    script = ["XRANGE s - +", "XREVRANGE s + -", *ENTRIES]
    for start, end in bounds:
        for count in ("", " COUNT 3", " COUNT 150", " count 1"):
            script += [f'XRANGE s "{start}" "{end}"{count}', f'XREVRANGE s "{end}" "{start}"{count}']
    script += ["XDEL s 25-1 25-2 25-3 25-4 59-4 1-1", "XRANGE s 24 26", "XREVRANGE s 26 24", "XREVRANGE s + - COUNT 1"]
    script += ["XRANGE s - + COUNT 1", "XRANGE s (18446744073709551615-18446744073709551614 +", "XLEN s"]
    same(script)


def test_reading_behind_any_entry() -> None:
    """Where an entry's ID is the next one after the one before, and wherever the nodes end."""
    script = [f"XADD s 1-{n} f {n}" for n in range(1, 231)] + ["XGROUP CREATE s g 0"]
    for n in (0, 1, 50, 98, 99, 100, 101, 102, 199, 200, 201, 228, 229, 230):
        for count in ("", "COUNT 1", "COUNT 60", "COUNT 150"):
            script += [f"XREAD {count} STREAMS s 1-{n}", f"XGROUP SETID s g 1-{n}",
                       f"XREADGROUP GROUP g c {count} NOACK STREAMS s >", f"XRANGE s (1-{n} + {count}"]  # fmt: skip
    same(script)


def test_errors_of_ranges() -> None:
    same(
        [
            "XADD s 1 f v",
            *[f"XRANGE s {id} +" for id in BAD_IDS],
            *[f"XRANGE s - {id}" for id in BAD_IDS],
            *[f"XREVRANGE s {id} -" for id in BAD_IDS],
            "XRANGE s (18446744073709551615-18446744073709551615 +",
            "XRANGE s - (0-0",
            "XREVRANGE s (0-0 (18446744073709551615-18446744073709551615",
            "XREVRANGE s + (18446744073709551615-18446744073709551615",
            "XRANGE s - + COUNT 0",
            "XRANGE s - + COUNT -5",
            "XRANGE s - + COUNT x",
            "XRANGE s - + COUNT",
            "XRANGE s - + COUNT 1 COUNT 2",
            "XRANGE s - + FOO 1",
            "XRANGE s - + COUNT 1 x",
            "XRANGE t - + COUNT 0",
            "XRANGE t x + COUNT 0",
            "XRANGE s -",
            "XREVRANGE s +",
            "SET k v",
            "XRANGE k - +",
            "XRANGE k x +",
            "XLEN k",
            "XLEN t",
            "XLEN",
        ]
    )


def test_xread() -> None:
    same(
        [
            "XREAD STREAMS s 0",
            *ENTRIES,
            "XADD t 1-1 f v",
            "XREAD STREAMS s 58-2",
            "XREAD COUNT 2 STREAMS s t u 5 0 0",
            "XREAD COUNT 2 STREAMS u t s 5 0 58-3",
            "XREAD STREAMS s 59-4",
            "XREAD STREAMS s $",
            "XREAD STREAMS s +",
            "XREAD STREAMS s t u + + +",
            "XREAD COUNT 0 STREAMS t 0",
            "XREAD COUNT -3 STREAMS t 0",
            "XREAD STREAMS t 18446744073709551615-18446744073709551615",
            "XDEL s 59-4",
            "XREAD STREAMS s +",
            "XREAD STREAMS s 59-3",
            "XREAD STREAMS t t 0 0",
            "XDEL t 1-1",
            "XREAD STREAMS t 0",
            "XREAD STREAMS t +",
            "XREAD BLOCK 1 STREAMS t 0",
            "XREAD COUNT 1 BLOCK 0 STREAMS s 0",
        ]
    )


def test_limits_over_all_streams() -> None:
    same(
        [
            *[f"XADD {key} {n} f {'v' * (n * 7)}" for key in ("s", "t", "u") for n in range(1, 8)],
            "XREAD MAXCOUNT 10 STREAMS s t u 0 0 0",
            "XREAD COUNT 3 MAXCOUNT 7 STREAMS s t u 0 0 0",
            "XREAD COUNT 3 MAXCOUNT 3 STREAMS s t u 0 0 0",
            "XREAD MAXCOUNT 1 STREAMS x t u 0 0 0",
            *[f"XREAD MAXSIZE {size} STREAMS s t u 0 5 6" for size in range(1, 700, 3)],
            *[f"XREAD COUNT 2 MAXSIZE {size} STREAMS s t u 0 0 0" for size in range(100, 300, 7)],
            "XREAD MAXSIZE 100 MAXCOUNT 2 COUNT 2 STREAMS s t u 0 0 0",
            "XREAD MAXSIZE 9999 STREAMS s t 7 7",
            "XREAD COUNT 3 MAXCOUNT 2 STREAMS s 0",
            "XREAD MAXCOUNT 0 STREAMS s 0",
            "XREAD MAXCOUNT -1 STREAMS s 0",
            "XREAD MAXCOUNT x STREAMS s 0",
            "XREAD MAXSIZE 0 STREAMS s 0",
            "XREAD MAXSIZE x STREAMS s 0",
        ]
    )


def test_errors_of_xread() -> None:
    same(
        [
            "XADD s 1 f v",
            "XREAD",
            "XREAD STREAMS s",
            "XREAD STREAMS s t 0",
            "XREAD COUNT 1 STREAMS",
            "XREAD COUNT STREAMS s 0",
            "XREAD COUNT x STREAMS s 0",
            "XREAD BLOCK x STREAMS s 0",
            "XREAD BLOCK -1 STREAMS s 0",
            "XREAD BLOCK 1.5 STREAMS s 0",
            "XREAD BLOCK 9223372036854775807 STREAMS s 0",
            "XREAD FOO STREAMS s 0",
            "XREAD NOACK STREAMS s 0",
            "XREAD GROUP g c STREAMS s 0",
            "XREAD GROUP g STREAMS s 0",
            "XREAD CLAIM 5 STREAMS s 0",
            "XREAD COUNT 1 BLOCK 1 s 0",
            "XREAD STREAMS s >",
            "XREAD STREAMS s x",
            "XREAD STREAMS s -",
            "XREAD STREAMS t >",
            "XREAD STREAMS t x",
            "SET k v",
            "XREAD STREAMS k 0",
            "XREAD STREAMS s k x 0",
            "XREAD STREAMS k s 0 x",
            "XREAD STREAMS k x",
            "MULTI",
            "XREAD BLOCK 0 STREAMS s $",
            "XREAD BLOCK 0 STREAMS s 0",
            "EXEC",
        ]
    )


def test_keys_are_found_whatever_is_named_streams() -> None:
    same(
        [
            "COMMAND GETKEYS XREAD STREAMS a b 0 0",
            "COMMAND GETKEYS XREAD COUNT 1 BLOCK 5 STREAMS STREAMS b 0 0",
            "COMMAND GETKEYS XREAD STREAMS a b 0",
            "COMMAND GETKEYS XREAD COUNT 1 x STREAMS a 0",
            "COMMAND GETKEYS XREADGROUP GROUP STREAMS c STREAMS k >",
            "COMMAND GETKEYS XREADGROUP GROUP g STREAMS STREAMS k >",
            "COMMAND GETKEYS XREADGROUP COUNT 5 GROUP g STREAMS CLAIM 5 NOACK STREAMS k l > >",
            "COMMAND GETKEYS XREADGROUP MAXCOUNT 5 MAXSIZE 5 GROUP g c STREAMS k >",
        ]
    )
