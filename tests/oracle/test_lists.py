"""Lists against the reference: every command, option, conflict, error, missing and wrong-typed key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import agree, examples, pair, requires, same

WRONG = ["SET s x"]
ABC = ["RPUSH l a b c"]
LONG = "9223372036854775807"
PAST = "9223372036854775808"

KEY_FIRST = {
    "LPUSH": "x",
    "RPUSH": "x y",
    "LPUSHX": "x",
    "RPUSHX": "x y",
    "LPOP": "",
    "RPOP": "2",
    "LLEN": "",
    "LINDEX": "0",
    "LSET": "0 x",
    "LRANGE": "0 -1",
    "LTRIM": "0 0",
    "LREM": "0 a",
    "LINSERT": "BEFORE a x",
    "LPOS": "a",
}


@pytest.mark.parametrize("name", KEY_FIRST)
def test_arity_missing_key_and_wrong_type(name: str) -> None:
    rest = KEY_FIRST[name]
    same([*WRONG, f"{name}", f"{name} l", f"{name} l {rest}", f"{name} s {rest}", "TYPE l", "LRANGE l 0 -1"])


def test_pushes() -> None:
    same(
        [
            "LPUSH l a", "LPUSH l b c d", "RPUSH l e", "RPUSH l f g", "LRANGE l 0 -1", "LLEN l",
            "LPUSHX l h i", "RPUSHX l j k", "LPUSHX no x", "RPUSHX no x", "LRANGE l 0 -1", "EXISTS no",
            ["RPUSH", "l", b"\x00\xff\r\n", b"", "1", "-1", "007"], "LRANGE l 0 -1",
        ],
        state=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["LPOP", "RPOP"])
def test_pops(name: str) -> None:
    same(
        [
            "RPUSH l a b c d e f", f"{name} l", f"{name} l 0", f"{name} l 1", f"{name} l 2", f"{name} l 9",
            "EXISTS l", f"{name} l", f"{name} l 0", f"{name} l 3", "RPUSH l a", f"{name} l", "EXISTS l",
            *ABC, f"{name} l -1", f"{name} l x", f"{name} l 1.0", f"{name} l ''", f"{name} l +1",
            f"{name} l {LONG}", f"{name} l {PAST}", f"{name} l 1 2", f"{name} no 1 2", f"{name} no x",
            *WRONG, f"{name} s 0", f"{name} s -1", f"{name} s 1 1",
        ],
        state=True,
    )  # fmt: skip


def test_index_and_range() -> None:
    numbers = ["0", "1", "2", "3", "-1", "-3", "-4", LONG, f"-{LONG}", "-9223372036854775808"]
    bad = ["x", "", "01", PAST, "1.5", "+1"]
    same([*ABC, *[["LINDEX", "l", n] for n in numbers + bad], *[["LINDEX", "no", n] for n in ("0", "x")]])
    same([*ABC, *[["LRANGE", "l", a, b] for a in numbers for b in numbers]])
    same([*ABC, *WRONG, *[["LRANGE", "l", a, b] for a, b in [("x", "y"), ("0", "x"), ("x", "0"), ("0", PAST)]],
          "LRANGE s x 0", "LRANGE no x 0", "LINDEX s x"])  # fmt: skip


def test_range_of_a_long_list() -> None:
    fill = ["RPUSH", "l", *[f"element {n}" for n in range(4000)]]
    ranges = [(0, 9), (2000, 2009), (3990, -1), (1500, 3999), (5, 2500), (-2000, -1990), (0, -1), (1990, 2300)]
    same([fill, *[f"LRANGE l {a} {b}" for a, b in ranges], "LINDEX l 1999", "LINDEX l -1999"], resp=(3,))


def test_set_by_index() -> None:
    same(
        [
            *ABC, "LSET l 0 x", "LSET l -1 z", "LSET l 3 y", "LSET l -4 y", "LSET l x y", f"LSET l {PAST} y",
            "LSET no 0 x", "LSET no x x", *WRONG, "LSET s x x", "LSET l 1 ''", "LRANGE l 0 -1",
        ],
        state=True,
    )  # fmt: skip


def test_trim() -> None:
    numbers = ["0", "1", "2", "3", "-1", "-2", "-4", LONG, f"-{LONG}"]
    script = []
    for a in numbers:
        for b in numbers:
            script += ["DEL l", *ABC, f"LTRIM l {a} {b}", "LRANGE l 0 -1"]
    same(script, resp=(3,))
    same([*WRONG, *ABC, "LTRIM l x 0", "LTRIM l 0 x", "LTRIM no 0 0", "LTRIM no x 0", "LTRIM s 0 x", "LTRIM s 0 0"])


def test_insert() -> None:
    same(
        [
            "RPUSH l a b a", "LINSERT l BEFORE a x", "LINSERT l after a y", "LINSERT l AFTER no z",
            "LINSERT l BESIDE a z", "LINSERT no BEFORE a z", "LINSERT no x a z", *WRONG, "LINSERT s x a z",
            "LINSERT l AFTER b c", "LINSERT l before b c", "LRANGE l 0 -1", "LINSERT l AFTER c c d",
        ],
        state=True,
    )  # fmt: skip


def test_remove() -> None:
    fill = ["DEL l", "RPUSH l a b a c a 1 01 a"]
    script: list[str] = []
    for count in ("0", "1", "2", "9", "-1", "-2", "-9", LONG, f"-{LONG}"):
        script += [*fill, f"LREM l {count} a", "LRANGE l 0 -1"]
    same(
        [
            *script, "LREM l 0 no", "LREM l -9223372036854775808 a", f"LREM l {PAST} a", "LREM l x a", "LREM l '' a",
            "LREM no 0 a", "LREM no x a", *WRONG, "LREM s x a", "LREM s 0 a", "LREM l 0 1", "LREM l 0 01",
            "DEL l", "RPUSH l a a", "LREM l 0 a", "EXISTS l",
        ],
        state=True,
    )  # fmt: skip


def test_positions() -> None:
    script: list[str] = ["RPUSH l a b c 1 2 a b a a"]
    for rank in ("1", "2", "4", "5", "-1", "-2", "-4", "-9", LONG, f"-{LONG}"):
        for count in ("", " COUNT 0", " COUNT 1", " COUNT 2", f" COUNT {LONG}"):
            for maxlen in ("", " MAXLEN 0", " MAXLEN 1", " MAXLEN 6", f" MAXLEN {LONG}"):
                script.append(f"LPOS l a RANK {rank}{count}{maxlen}")
    same(script)
    same(
        [
            *ABC, *WRONG, "LPOS l no", "LPOS l no COUNT 0", "LPOS no a", "LPOS no a COUNT 1", "LPOS no a RANK 0",
            "LPOS l a RANK 0", "LPOS l a RANK x", "LPOS l a RANK -9223372036854775808", f"LPOS l a RANK {PAST}",
            "LPOS l a COUNT -1", "LPOS l a COUNT x", "LPOS l a MAXLEN -1", "LPOS l a MAXLEN x", "LPOS l a RANK",
            "LPOS l a COUNT", "LPOS l a MAXLEN", "LPOS l a FOO 1", "LPOS l a FOO", "LPOS l a FOO RANK 0",
            "LPOS l a RANK 0 FOO", "LPOS l a COUNT 1 COUNT 0 RANK 1 RANK -1", "LPOS s a", "LPOS s a RANK 0",
            "LPOS l a rank 1 count 1 maxlen 1", "LPOS l a MAXLEN 1 RANK", "LPOS l",
        ]
    )  # fmt: skip


# Between lists


@pytest.mark.parametrize("source", ["LEFT", "RIGHT"])
@pytest.mark.parametrize("target", ["left", "Right"])
def test_move(source: str, target: str) -> None:
    ends = f"{source} {target}"
    same(
        [
            *ABC, "RPUSH m x y", f"LMOVE l m {ends}", f"LMOVE l l {ends}", f"LMOVE l l {ends}", f"LMOVE l new {ends}",
            "LRANGE l 0 -1", "LRANGE m 0 -1", f"LMOVE new l {ends}", "EXISTS new", f"LMOVE no m {ends}",
            *WRONG, f"LMOVE s m {ends}", f"LMOVE l s {ends}", f"LMOVE no s {ends}", "DEL l", "RPUSH l 1",
            f"LMOVE l l {ends}", f"BLMOVE l m {ends} 0", f"BLMOVE s m {ends} 0", f"BLMOVE m s {ends} 0",
            f"BLMOVE m m {ends} 0",
        ],
        state=True,
    )  # fmt: skip


def test_move_errors() -> None:
    same(
        [
            *ABC, *WRONG, "LMOVE l m LEFT", "LMOVE l m LEFT UP", "LMOVE l m UP LEFT", "LMOVE l m L R",
            "LMOVE s m UP LEFT", "LMOVE l m LEFT RIGHT 0", "RPOPLPUSH l", "RPOPLPUSH l l", "RPOPLPUSH l m",
            "RPOPLPUSH no m", "RPOPLPUSH s m", "RPOPLPUSH l s", "RPOPLPUSH l m", "RPOPLPUSH m m", "BRPOPLPUSH l m",
            "BRPOPLPUSH m l 0", "BRPOPLPUSH m m x", "BRPOPLPUSH s m 0", "BRPOPLPUSH m s 0", "BLMOVE m l LEFT RIGHT",
            "BLMOVE m l UP RIGHT x", "BLMOVE m l LEFT UP x", "BLMOVE m l LEFT RIGHT x", "BLMOVE s l LEFT RIGHT x",
        ],
        state=True,
    )  # fmt: skip


@requires("8.10")
@pytest.mark.parametrize("ends", ["LEFT LEFT", "LEFT RIGHT", "RIGHT LEFT", "RIGHT RIGHT"])
@pytest.mark.parametrize("order", ["OBO", "bulk"])
def test_move_several(ends: str, order: str) -> None:
    fill = ["DEL l m", "RPUSH l a b c d e", "RPUSH m x y"]
    script: list[str] = [*WRONG]
    for amount in ("COUNT 1", "COUNT 3", "COUNT 5", "COUNT 9", "EXACTLY 1", "EXACTLY 3", "exactly 5", "EXACTLY 6"):
        for form in ("LMOVEM l m {e} {a} {o}", "LMOVEM l l {e} {a} {o}", "LMOVEM l new {e} {a} {o}",
                     "LMOVEM no m {e} {a} {o}", "LMOVEM l s {e} {a} {o}", "LMOVEM s m {e} {a} {o}",
                     "LMOVEM no s {e} {a} {o}"):  # fmt: skip
            script += [*fill, form.format(e=ends, a=amount, o=order), "LRANGE l 0 -1", "LRANGE m 0 -1"]
            script += ["LRANGE new 0 -1", "DEL new"]
    same(script, state=True)
    for amount in ("COUNT 3", "EXACTLY 5"):
        same([*fill, f"BLMOVEM l m {ends} 0 {amount} {order}", "LRANGE m 0 -1"], state=True)


@requires("8.10")
def test_move_several_errors() -> None:
    tails = ["", "COUNT", "COUNT 1", "COUNT 1 OBO 1", "COUNT 0 OBO", "COUNT x OBO", "COUNT -1 FOO", "COUNT 1 FOO",
             "EXACTLY 0 BULK", "FOO 1 OBO", "FOO 0 OBO", "OBO COUNT 1", f"COUNT {LONG} OBO", f"COUNT {PAST} OBO",
             f"EXACTLY {LONG} BULK"]  # fmt: skip
    script = [*WRONG, *ABC, "LMOVEM l m LEFT", "LMOVEM l m UP LEFT", "LMOVEM l m LEFT UP FOO", "LMOVEM s m LEFT UP"]
    same([*script, *[f"LMOVEM l m LEFT RIGHT {tail}" for tail in tails]], state=True)
    same([*script, *[f"BLMOVEM l m LEFT RIGHT 0 {tail}" for tail in tails[1:12]],
          "BLMOVEM l m LEFT RIGHT x COUNT 0 FOO", "BLMOVEM l m LEFT UP x", "BLMOVEM s m LEFT LEFT 0",
          "BLMOVEM l s LEFT LEFT 0", "BLMOVEM l m LEFT LEFT -1", "BLMOVEM l m LEFT LEFT 0"], state=True)  # fmt: skip


def test_multi_pop() -> None:
    same(
        [
            *WRONG, *ABC, "RPUSH m 1 2 3", "LMPOP 1 l LEFT", "LMPOP 2 no l RIGHT", "LMPOP 2 m l right COUNT 2",
            "LMPOP 3 no l m left COUNT 99", "LMPOP 1 no LEFT", "LMPOP 2 no none LEFT COUNT 5", "LMPOP 2 no s LEFT",
            "LMPOP 2 m s LEFT", "LMPOP 2 m s LEFT", "EXISTS l m", *ABC, "LMPOP 2 l l LEFT COUNT 2",
            "BLMPOP 0 2 no l LEFT COUNT 7", "BLMPOP 0 2 no s LEFT", "RPUSH m 1 2", "BLMPOP 0.1 1 m RIGHT",
        ],
        state=True,
    )  # fmt: skip


def test_multi_pop_errors() -> None:
    tails = ["0 l LEFT", "-1 l LEFT", "x l LEFT", "1 l", "1 l UP", "2 l LEFT", "3 l LEFT", "1 l LEFT COUNT",
             "2 l LEFT COUNT 1", "1 l LEFT COUNT 0", "1 l LEFT COUNT -1", "1 l LEFT COUNT x",
             "1 l LEFT COUNT 1 COUNT 1", "1 l LEFT FOO", "1 l LEFT COUNT 1 FOO", "1 l LEFT FOO 1", "1 l LEFT LEFT",
             f"{PAST} l LEFT", f"1 l LEFT COUNT {PAST}", "1 l LEFT COUNT 0 FOO",
             "99 l m LEFT"]  # fmt: skip
    same([*ABC, *[f"LMPOP {tail}" for tail in tails], "LMPOP", "LMPOP 1 l"])
    same([*ABC, *[f"BLMPOP 0 {tail}" for tail in tails], *[f"BLMPOP x {tail}" for tail in tails]])


# What else shows


def test_keyspace_events() -> None:
    script = [
        "LPUSH l a b", "RPUSH l c", "LPUSHX l d", "RPUSHX l e", "LPUSHX no x", "LSET l 0 z", "LINSERT l BEFORE a q",
        "LINSERT l BEFORE no q", "LREM l 1 q", "LREM l 0 no", "LTRIM l 0 -1", "LTRIM l 0 2", "LPOP l", "RPOP l 0",
        "RPOP l 9", "RPUSH l a b c d", "LMOVE l l LEFT RIGHT", "LMOVE l m LEFT RIGHT", "LMOVE l m RIGHT LEFT",
        "RPOPLPUSH m n", "LMPOP 2 no l LEFT COUNT 9", "BLPOP m n 0", "BRPOP n 0", "RPUSH l a b c d",
        "BLMOVE l m LEFT RIGHT 0", "BRPOPLPUSH l m 0", "BLMPOP 0 1 l RIGHT COUNT 2", "LREM m 0 a", "LTRIM m 5 9",
        "LINDEX m 0", "LLEN m", "LRANGE m 0 -1", "LPOS m x", "RPUSH l 3 1 2", "SORT l STORE k", "SORT no STORE k",
        "SORT no STORE k", "SET k x", "SORT l STORE k", "SORT l STORE k", "LTRIM k 3 1",
    ]  # fmt: skip
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        writer, listener = p.client(), p.client(resp=3)
        writer.do("CONFIG SET notify-keyspace-events KEAmnoc")
        listener.do("PSUBSCRIBE __key*@*__:*")
        for command in script:
            writer.do(command)
            listener.drain()


@requires("8.10")
def test_keyspace_events_of_moving_several() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        writer, listener = p.client(), p.client(resp=3)
        writer.do("CONFIG SET notify-keyspace-events KEAmnoc")
        listener.do("PSUBSCRIBE __key*@*__:*")
        for command in ("RPUSH l a b c d e", "LMOVEM l m LEFT RIGHT COUNT 2 OBO", "LMOVEM l l LEFT LEFT COUNT 2 OBO",
                        "LMOVEM l l LEFT RIGHT COUNT 9 BULK", "BLMOVEM l m RIGHT LEFT 0 EXACTLY 3 BULK"):  # fmt: skip
            writer.do(command)
            listener.drain()


# Generated

KEYS = st.sampled_from(["a", "b", "c", "c"])
ELEMENTS = st.sampled_from(["x", "y", "z", "1", "", "\x00\xff"])
INDEXES = st.sampled_from(["0", "1", "2", "-1", "-2", "5", "-9", "nan"])
ENDS = st.sampled_from(["LEFT", "RIGHT"])
COUNTS = st.sampled_from(["0", "1", "2", "7", "-1", "-2"])


def _command(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.tuples(*[st.just(p) if isinstance(p, str) else p for p in parts]).map(list)


COMMANDS = st.one_of(
    _command("LPUSH", KEYS, ELEMENTS), _command("RPUSH", KEYS, ELEMENTS, ELEMENTS), _command("LPUSHX", KEYS, ELEMENTS),
    _command("RPUSH", KEYS, ELEMENTS, ELEMENTS, ELEMENTS, ELEMENTS), _command("LPOP", KEYS), _command("RPOP", KEYS),
    _command("RPOP", KEYS, COUNTS), _command("LPOP", KEYS, COUNTS), _command("LINDEX", KEYS, INDEXES),
    _command("LRANGE", KEYS, INDEXES, INDEXES), _command("LTRIM", KEYS, INDEXES, INDEXES), _command("LLEN", KEYS),
    _command("LSET", KEYS, INDEXES, ELEMENTS), _command("LREM", KEYS, COUNTS, ELEMENTS),
    _command("LINSERT", KEYS, st.sampled_from(["BEFORE", "AFTER"]), ELEMENTS, ELEMENTS),
    _command("LPOS", KEYS, ELEMENTS, "RANK", COUNTS, "COUNT", COUNTS, "MAXLEN", COUNTS),
    _command("LMOVE", KEYS, KEYS, ENDS, ENDS), _command("RPOPLPUSH", KEYS, KEYS),
    _command("LMPOP", "2", KEYS, KEYS, ENDS, "COUNT", COUNTS), _command("SORT", KEYS, "ALPHA", "STORE", KEYS),
    _command("DEL", KEYS), _command("SET", KEYS, ELEMENTS),
)  # fmt: skip
MOVEM = _command("LMOVEM", KEYS, KEYS, ENDS, ENDS, st.sampled_from(["COUNT", "EXACTLY"]), COUNTS,
                 st.sampled_from(["OBO", "BULK"]))  # fmt: skip


@examples(80)
@given(st.lists(COMMANDS, max_size=40))
def test_any_commands(script: list[list[str]]) -> None:
    agree(script)


@requires("8.10")
@examples(50)
@given(st.lists(st.one_of(COMMANDS, MOVEM, MOVEM), max_size=40))
def test_any_commands_and_moving_several(script: list[list[str]]) -> None:
    agree(script)
