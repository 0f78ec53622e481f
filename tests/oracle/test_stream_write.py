"""XADD, XTRIM, XDEL, XDELEX, XSETID, XCFGSET and XIDMPRECORD beside redis-server."""

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import examples, requires, same, stream_ids

pytestmark = requires("8.8")

# fmt: off
BAD_IDS = ["", "-", "+", "*", "5-", "-5", "5-x", "x", "5-3-1", "18446744073709551616", "1-18446744073709551616", '" 5"',
           "+5", "05-03", "5--3", "5--03", "5--0", "5-+3", "5-*", "(5", "5.0", "1_0", "1" * 130,
           '"5\\x00"']
# fmt: on


def test_adding() -> None:
    same(
        [
            "XADD s 1-1 a b",
            "XADD s 1-1 a b",
            "XADD s 1-0 a b",
            "XADD s 1-2 a b c d",
            "XADD s 1-* a b",
            "XADD s 2-* a b",
            "XADD s 2 a b",
            "XADD s 3 a b",
            "XADD s 1-* a b",
            "XADD s 3-18446744073709551615 a b",
            "XADD s 3-* a b",
            'XADD s 4-1 "" "" "" ""',
            "XADD s NOMKSTREAM 5-1 a b",
            "XADD t NOMKSTREAM 5-1 a b",
            "XADD t nomkstream * a b",
            "EXISTS t",
            "XADD s 18446744073709551615-18446744073709551614 a b",
            "XADD s * a b",
            "XADD s * a b",
            "XADD s 18446744073709551615-18446744073709551615 a b",
            "XADD s 1-1 a b",
            "XLEN s",
            "XRANGE s - +",
            "XINFO STREAM s",
        ]
    )


def test_adding_by_the_clock() -> None:
    same(
        ["XADD s * a b", "XADD s * a b", "XRANGE s - +", "XADD t MAXLEN 1 * a b", "XADD t MAXLEN = 1 * a b"],
        mask=stream_ids,
    )


def test_errors_of_adding() -> None:
    same(
        [
            "XADD",
            "XADD s",
            "XADD s *",
            "XADD s * a",
            "XADD s * a b c",
            "XADD s 1-1 a b c",
            "XADD s 0-0 a b",
            "XADD s 0 a b",
            "XADD s 0-* a b",
            "XADD s MAXLEN 1 0-0 a b",
            "XADD s MAXLEN",
            "XADD s MAXLEN 3 a b",
            "XADD s MAXLEN x * a b",
            "XADD s MAXLEN -1 * a b",
            "XADD s MAXLEN ~ x * a b",
            "XADD s MAXLEN ~ * a b c",
            "XADD s MAXLEN 3 MINID 3 * a b",
            "XADD s MINID 3 MAXLEN 3 * a b",
            "XADD s MINID x * a b",
            "XADD s MINID - * a b",
            "XADD s LIMIT 3 * a b",
            "XADD s LIMIT 0 * a b",
            "XADD s LIMIT -3 * a b",
            "XADD s LIMIT x * a b",
            "XADD s MAXLEN 3 LIMIT 3 * a b",
            "XADD s MAXLEN = 3 LIMIT 3 * a b",
            "XADD s MAXLEN 3 LIMIT 0 * a b",
            "XADD s KEEPREF KEEPREF * a b",
            "XADD s KEEPREF ACKED * a b",
            "XADD s FOO * a b",
            "EXISTS s",
            "SET k v",
            "XADD k 1-1 a b",
            "XADD k 0-0 a b",
            "XADD k 1-1 a",
            *[f"XADD s {id} a b" for id in BAD_IDS if id != "*"],
            "XRANGE s - +",
        ]
    )


def test_trimming_while_adding() -> None:
    same(
        [
            *[f"XADD s {n} f v" for n in range(1, 251)],
            "XADD s MAXLEN 200 300 f v",
            "XADD s MAXLEN = 190 301 f v",
            "XADD s MAXLEN ~ 150 302 f v",
            "XLEN s",
            "XADD s MAXLEN ~ 40 303 f v",
            "XLEN s",
            "XADD s MINID 230 304 f v",
            "XADD s MINID ~ 303 LIMIT 10 305 f v",
            "XADD s MINID ~ 303 LIMIT 0 306 f v",
            "XADD s MAXLEN 0 307 f v",
            "XINFO STREAM s",
            "XADD s MAXLEN ~ 0 LIMIT 1 308 f v",
            "XINFO STREAM s",
            "XADD s 309 f v",
            "XRANGE s - +",
        ]
    )


def test_trimming() -> None:
    same(
        [
            "XTRIM s MAXLEN 3",
            *[f"XADD s {n} f v" for n in range(1, 351)],
            "XTRIM s MAXLEN ~ 300",
            "XTRIM s MAXLEN ~ 250",
            "XTRIM s MAXLEN ~ 10 LIMIT 99",
            "XTRIM s MAXLEN ~ 10 LIMIT 100",
            "XTRIM s MINID ~ 201",
            "XTRIM s MINID 205",
            "XTRIM s MINID 205",
            "XTRIM s MINID ~ 301-0",
            "XTRIM s MINID = 310-1",
            "XDEL s 350",
            "XTRIM s MINID 350",
            "XINFO STREAM s",
            "XADD s 351 f v",
            "XTRIM s MAXLEN 0",
            "XINFO STREAM s",
            "XTRIM s MAXLEN 0",
        ],
        mask=_nodes,
    )


def test_errors_of_trimming() -> None:
    same(
        [
            "XTRIM s",
            "XTRIM s MAXLEN",
            "XTRIM s MAXLEN x",
            "XTRIM s MAXLEN -3",
            "XTRIM s MAXLEN = ~",
            "XTRIM s MAXLEN ~ 3 3",
            "XTRIM s MINID 3 3",
            "XTRIM s MINID x",
            "XTRIM s KEEPREF DELREF MAXLEN 3",
            "XTRIM s KEEPREF KEEPREF",
            "XTRIM s KEEPREF ACKED LIMIT 3",
            "XTRIM s LIMIT 0 LIMIT 0",
            "XTRIM s MAXLEN 3 LIMIT 3",
            "XTRIM s MAXLEN 3 MINID 3",
            "XTRIM s MAXLEN 3 NOMKSTREAM",
            "XTRIM s MAXLEN 3 *",
            "SET k v",
            "XTRIM k MAXLEN 3",
            "XTRIM k MAXLEN x",
        ]
    )


def test_policies_on_references() -> None:
    script = [*[f"XADD s {n} f v" for n in range(1, 31)], "XGROUP CREATE s g 0", "XGROUP CREATE s h 0"]
    script += ["XREADGROUP GROUP g c COUNT 20 STREAMS s >", "XREADGROUP GROUP h c COUNT 25 STREAMS s >"]
    script += ["XACK s g 1 2 3 4 5 6 7 8", "XACK s h 1 2 3 4 9 10 11 12"]
    for name, trims in {
        "acked": [
            "XTRIM s MAXLEN 28 ACKED",
            "XTRIM s ACKED MAXLEN 5",
            "XTRIM s MINID 30 ACKED",
            "XTRIM s MAXLEN ~ 0 ACKED",
        ],
        "delref": ["XTRIM s MAXLEN 28 DELREF", "XTRIM s MINID 15 delref", "XTRIM s MAXLEN ~ 3 DELREF"],
        "keepref": ["XTRIM s MAXLEN 28 KEEPREF", "XTRIM s MINID 15"],
        "adding": [
            "XADD s ACKED MAXLEN 20 31 f v",
            "XADD s DELREF MAXLEN = 10 32 f v",
            "XADD s KEEPREF MINID 31 33 f v",
        ],
        "xdelex": ["XDELEX s ACKED IDS 5 1 5 9 21 99", "XDELEX s IDS 3 5 6 99", "XDELEX s DELREF IDS 4 5 7 99 30"],
        "xackdel": [
            "XACKDEL s g ACKED IDS 5 1 9 13 25 99",
            "XACKDEL s g IDS 2 14 14",
            "XACKDEL s h DELREF IDS 3 15 5 99",
        ],
    }.items():
        for policy in trims:
            same([*script, policy, "XLEN s", "XPENDING s g - + 99 c", "XPENDING s h", "XINFO GROUPS s"], mask=_idle)
        same(
            [*script, *trims, "XRANGE s - +", "XPENDING s g", "XPENDING s h", "XINFO STREAM s", f"ECHO {name}"],
            mask=_nodes,
        )


def _idle(reply: bytes) -> bytes:
    """Idle times are single small integers before a delivery count of 1."""
    return (
        reply
        if b"\r\n:1\r\n" not in reply
        else b"".join(line + b"\n" for line in reply.split(b"\n") if line[:1] != b":")
    )


def _nodes(reply: bytes) -> bytes:
    """Redis's radix tree may keep a node more after deletions."""
    head, name, rest = reply.partition(b"radix-tree-nodes\r\n")
    return head + name + rest[rest.find(b"\n") :]


def test_acked_passes_over_what_is_pending() -> None:
    same(
        [
            *[f"XADD s {n} f v" for n in range(1, 451)],
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
            "XGROUP SETID s g $",
            "XTRIM s MAXLEN ~ 20 ACKED",
            "XTRIM s MAXLEN ~ 20 LIMIT 100 ACKED",
            "XLEN s",
            "XRANGE s - + COUNT 3",
            "XTRIM s MINID ~ 449 ACKED",
            "XACK s g 1",
            "XTRIM s MINID 449 ACKED",
            "XRANGE s - +",
        ]
    )


def test_deleting() -> None:
    same(
        [
            "XDEL s 1",
            *[f"XADD s {n} f v" for n in range(1, 221)],
            "XDEL s 5 5 6",
            "XDEL s 1 2 3 220",
            "XINFO STREAM s",
            "XDEL s 219 400",
            "XREVRANGE s + - COUNT 2",
            "XDEL s x",
            "XDEL s 7 x",
            "XDEL s -",
            "XLEN s",
            *[f"XDEL s {n}" for n in range(101, 221)],
            "XADD s 300 f v",
            "XADD s 301 f v",
            "XLEN s",
            *[f"XDEL s {n}" for n in (*range(1, 101), 300, 301)],
            "XINFO STREAM s",
            "EXISTS s",
            "XADD s 301 f v",
            "XADD s 302 f v",
            "XINFO STREAM s",
            "SET k v",
            "XDEL k 1",
            "XDEL k x",
            "XDEL s",
        ],
        mask=_nodes,
    )


def test_xdelex_and_xackdel() -> None:
    same(
        [
            "XDELEX s IDS 2 1 2",
            "XACKDEL s g IDS 2 1 2",
            "XADD s 1 f v",
            "XACKDEL s g IDS 1 1",
            "XDELEX s IDS 1 x",
            "XDELEX s IDS 0 1",
            "XDELEX s IDS -1 1",
            "XDELEX s IDS x 1",
            "XDELEX s IDS 2 1",
            "XDELEX s IDS 1 1 2",
            "XDELEX s IDS 1 1 ACKED KEEPREF",
            "XDELEX s IDS 1 1 IDS 1 2",
            "XDELEX s KEEPREF ACKED DELREF x",
            "XDELEX s FOO IDS 1 1",
            "XDELEX s IDS 9223372036854775807 1",
            "XDELEX s IDS 9223372036854775808 1",
            "XDELEX s ACKED",
            "XDELEX s IDS 1",
            "XDELEX s KEEPREF KEEPREF 1",
            "XDELEX nokey KEEPREF IDS 1 x",
            "XDELEX nokey KEEPREF IDS 2 x",
            "XACKDEL s g KEEPREF ACKED x x",
            "XACKDEL s g IDS 1 x",
            "XACKDEL nokey g IDS 1 x",
            "SET k v",
            "XDELEX k IDS 9 1",
            "XACKDEL k g IDS 9 1",
            "XRANGE s - +",
            "XDELEX s DELREF IDS 1 1",
        ]
    )


def test_xsetid() -> None:
    same(
        [
            "XSETID s 1-1",
            "XADD s 1-1 f v",
            "XADD s 5-1 f v",
            "XSETID s 5-0",
            "XSETID s 5-1",
            "XSETID s 6-1",
            "XADD s 6-1 f v",
            "XSETID s 7-1 ENTRIESADDED 0",
            "XSETID s 7-1 ENTRIESADDED 1",
            "XSETID s 7-1 ENTRIESADDED 2 MAXDELETEDID 8-1",
            "XSETID s 7-1 ENTRIESADDED 20 MAXDELETEDID 4-1",
            "XINFO STREAM s",
            "XSETID s 7-1 MAXDELETEDID 0-0",
            "XDEL s 5-1",
            "XSETID s 4-9",
            "XSETID s x",
            "XSETID s -",
            "XSETID s 7 ENTRIESADDED",
            "XSETID s 7 ENTRIESADDED -1",
            "XSETID s 7 ENTRIESADDED x",
            "XSETID s 7 MAXDELETEDID x",
            "XSETID s 7 FOO 3",
            "SET k v",
            "XSETID k 1",
            "XSETID k x",
            "XDEL s 1-1",
            "XSETID s 5-1 ENTRIESADDED 0",
            "XSETID s 1-1",
            "XINFO STREAM s",
            "XADD s 5-2 f v",
        ]
    )


def test_idempotent_producing() -> None:
    same(
        [
            "XADD s IDMP p i * f v",
            "XADD s IDMP p i * f w",
            "XADD s IDMP p j * f v",
            "XADD s idmp q i * f v",
            "XADD s IDMPAUTO p * f v",
            "XADD s IDMPAUTO p * f v",
            "XADD s IDMPAUTO p * f w",
            "XADD s IDMPAUTO p * a 1 b 2",
            "XADD s idmpauto p * b 2 a 1",
            "XADD s IDMP p k MAXLEN 2 * f v",
            "XADD s MAXLEN 3 IDMP p k * f v",
            "XLEN s",
            "XADD s IDMP p i NOMKSTREAM * f v",
            "XADD t IDMP p i NOMKSTREAM * f v",
            "XADD s IDMP p i 5-1 f v",
            "XADD s IDMP p i 5-* f v",
            "XADD s IDMPAUTO p 5-1 f v",
            "XADD s IDMP p i IDMP p j * f v",
            "XADD s IDMP p i IDMPAUTO p * f v",
            'XADD s IDMP "" i * f v',
            'XADD s IDMP p "" * f v',
            'XADD s IDMPAUTO "" * f v',
            "XADD s IDMP p * f v",
            "XADD s IDMP p i * f",
            "XINFO STREAM s",
        ],
        mask=stream_ids,
    )


def test_settings_of_idempotent_producing() -> None:
    same(
        [
            "XCFGSET s IDMP-DURATION 5",
            "XADD s IDMP p i * f v",
            "XCFGSET s IDMP-DURATION 100",
            "XADD s IDMP p i * f v",
            "XCFGSET s IDMP-DURATION 5 idmp-maxsize 2",
            "XINFO STREAM s",
            *[f"XADD s IDMP p {n} * f v" for n in (1, 2, 3, 2, 1)],
            "XINFO STREAM s",
            "XCFGSET s",
            "XCFGSET s FOO",
            "XCFGSET s FOO 1",
            "XCFGSET s IDMP-DURATION",
            "XCFGSET s IDMP-DURATION 0",
            "XCFGSET s IDMP-DURATION 86400",
            "XCFGSET s IDMP-DURATION 86401",
            "XCFGSET s IDMP-DURATION x",
            "XCFGSET s IDMP-DURATION 1 IDMP-DURATION 2",
            "XCFGSET s IDMP-MAXSIZE 0",
            "XCFGSET s IDMP-MAXSIZE 10000",
            "XCFGSET s IDMP-MAXSIZE 10001",
            "XCFGSET s IDMP-MAXSIZE 1 IDMP-MAXSIZE 2",
            "SET k v",
            "XCFGSET k IDMP-DURATION x",
            "XINFO STREAM s",
        ],
        mask=stream_ids,
    )


def test_xidmprecord() -> None:
    same(
        [
            "XIDMPRECORD s p i 9999999999999-1",
            "XADD s 9999999999999-1 f v",
            "XIDMPRECORD s p i 9999999999999-1",
            "XIDMPRECORD s p i 9999999999999-1",
            "XIDMPRECORD s p i 9999999999999-2",
            "XADD s 9999999999999-2 f v",
            "XIDMPRECORD s p i 9999999999999-2",
            "XIDMPRECORD s p i x",
            'XIDMPRECORD s "" i 9999999999999-1',
            'XIDMPRECORD s p "" 9999999999999-1',
            "XIDMPRECORD s p i",
            "SET k v",
            "XIDMPRECORD k p i 9999999999999-1",
        ]
    )


FIELDS = st.sampled_from(["a b", "a 1 b 22222", "f " + "x" * 300, "f " + "x" * 5000, "12345 -7", "f v", "f v"])
NODES = st.one_of(
    st.tuples(st.just("XADD s"), st.sampled_from(["*", "*", "MAXLEN ~ 20 *", "MINID ~ 5 *"]), FIELDS).map(" ".join),
    st.tuples(st.just("XADD s"), st.integers(1, 500).map(str), FIELDS).map(" ".join),
    st.tuples(st.just("XTRIM s MAXLEN"), st.sampled_from(["", "~"]), st.integers(0, 60).map(str)).map(" ".join),
    st.tuples(st.just("XTRIM s MINID"), st.sampled_from(["", "~"]), st.integers(0, 500).map(str)).map(" ".join),
    st.tuples(st.just("XDEL s"), st.integers(1, 500).map(str)).map(" ".join),
)


@examples(40)
@given(st.integers(1, 12), st.integers(100, 6000), st.lists(NODES, min_size=5, max_size=60))
def test_nodes_end_at_the_same_entries(entries: int, size: int, script: list[str]) -> None:
    """Approximate trimming shows where nodes end; XINFO counts them."""
    ids = iter(range(1, 10_000))
    numbered = [line.replace("*", str(next(ids) * 3)) for line in script]
    settings = [f"CONFIG SET stream-node-max-entries {entries}", f"CONFIG SET stream-node-max-bytes {size}"]
    same(
        [*settings, *numbered, "XADD s 99999 f v", "XRANGE s - +", "XINFO STREAM s"],
        resp=(3,),
        mask=_nodes,
        cleanup=["CONFIG SET stream-node-max-entries 100", "CONFIG SET stream-node-max-bytes 4096"],
    )
