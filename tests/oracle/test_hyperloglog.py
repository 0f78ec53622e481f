"""HyperLogLog against the reference: the same bytes, estimates and errors, also for values that are broken."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.hyperloglog.sketch import SPARSE, opcodes
from tests.oracle.harness import AnyCommand, Each, Skip, agree, examples, pair, requires, same

LIMIT_AGAIN = ("CONFIG SET hll-sparse-max-bytes 3000",)
OTHERS: list[AnyCommand] = [
    "SET s abc", "SET n 12345678901234567", 'SET empty ""', "RPUSH l a", "SET h HYLL", "SET e EYLL\\x01...........",
    ["SET", "odd", b"HYLL\x02" + bytes(11)], ["SET", "bare", b"HYLL\x01" + bytes(11)],
    ["SET", "dense", b"HYLL\0" + bytes(11)], ["SET", "long", b"HYLL\0" + bytes(12300)],
    ["SET", "fits", b"HYLL\0" + bytes(12299)],
]  # fmt: skip
NAMES = ("s", "n", "empty", "l", "h", "e", "odd", "bare", "dense", "long", "fits", "missing")


def words(first: int, last: int) -> list[str]:
    return [f"element:{n}" for n in range(first, last)]


def test_elements_of_every_length() -> None:
    random.seed(7)
    script: list[AnyCommand] = []
    for length in [*range(40), 100, 1000, 70_001]:
        script += [["PFADD", f"k{length}", random.randbytes(length)], f"GET k{length}", f"PFCOUNT k{length}"]
    same(script)


@pytest.mark.parametrize("limit", [0, 18, 21, 300, 3000, 12304, 20000])
def test_growth_and_promotion(limit: int) -> None:
    script: list[AnyCommand] = [f"CONFIG SET hll-sparse-max-bytes {limit}", "PFADD k"]
    known = 0
    for step in [1] * 60 + [7] * 20 + [40] * 25 + [500] * 12:
        script += [["PFADD", "k", *words(known, known + step)], "GET k", "PFCOUNT k", "GET k", "PFDEBUG ENCODING k"]
        known += step
    same(script, resp=(2,), cleanup=LIMIT_AGAIN)


def test_what_pfadd_answers() -> None:
    same(["PFADD k", "PFADD k", "GET k", "PFADD k a", "PFADD k a", "PFADD k a b", "PFADD k a b a b", "TYPE k",
          "STRLEN k", "OBJECT ENCODING k", "EXPIRE k 100", "PFADD k c d e", "TTL k", "PFADD", "PFADD empty \"\"",
          "PFADD empty \"\"", "GET empty"], state=True)  # fmt: skip


def test_estimates_are_kept() -> None:
    same(["PFCOUNT missing", "PFADD k a b c", "GET k", "PFCOUNT k", "GET k", "PFCOUNT k", "PFADD k a", "GET k",
          "PFADD k d", "GET k", "PFCOUNT k k", "GET k", "PFCOUNT k missing", "PFCOUNT missing missing", "PFCOUNT",
          "SETRANGE k 8 \\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00", "PFCOUNT k", "PFCOUNT k k", "PFADD k a", "PFCOUNT k",
          "SETRANGE k 8 \\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x7f", "PFCOUNT k", "PFDEBUG TODENSE k", "PFCOUNT k",
          "PFADD k zz", "PFCOUNT k", "GET k"], state=True)  # fmt: skip


def test_values_move_between_encodings_of_strings() -> None:
    same(["PFADD k a b", "OBJECT ENCODING k", ["SET", "c", b"HYLL\x01" + bytes(10) + b"\x80\x7f\xff"],
          "OBJECT ENCODING c", "PFCOUNT c", "OBJECT ENCODING c", "PFADD c x", "GET c", "COPY k d", "PFADD d z", "GET k",
          "GET d", "PFMERGE m k d", "GET m", "PFDEBUG ENCODING c"], state=True)  # fmt: skip


@pytest.mark.parametrize(
    "sizes", [(0,), (1,), (50, 60), (3, 900), (1200, 1300), (1500, 1500), (10, 4000), (5000, 9000)]
)
@pytest.mark.parametrize("target", [0, 1, 700, 6000])
def test_pfmerge(sizes: tuple[int, ...], target: int) -> None:
    script: list[AnyCommand] = [["PFADD", "d", *words(100, 100 + target)]] if target else []
    for number, size in enumerate(sizes):
        script.append(["PFADD", f"s{number}", *words(number * 800, number * 800 + size)])
    sources = " ".join(f"s{number}" for number in range(len(sizes)))
    script += [f"PFCOUNT {sources} d", f"PFMERGE d {sources} missing", "GET d", "PFCOUNT d", "GET d",
               f"PFMERGE d {sources}", "GET d", "PFADD d x y z", "GET d", f"PFMERGE {sources}", "GET s0"]  # fmt: skip
    same(script, resp=(2,))


@pytest.mark.parametrize("limit", [0, 40, 100, 101, 102, 103, 104, 500])
def test_promotion_by_pfmerge(limit: int) -> None:
    script: list[AnyCommand] = []
    for seed in range(12):
        script += [["PFADD", f"s{seed}", *words(seed * 50, seed * 50 + 3 * seed + 10)]]
    script += [f"CONFIG SET hll-sparse-max-bytes {limit}"]
    for seed in range(12):
        script += [f"PFMERGE d{seed} s{seed}", f"GET d{seed}", f"PFMERGE s{seed} s{(seed + 5) % 12}", f"GET s{seed}"]
    same(script, resp=(2,), cleanup=LIMIT_AGAIN)


def test_pfmerge_with_itself_and_nothing() -> None:
    same(["PFMERGE d", "GET d", "PFMERGE d d missing", "GET d", "PFADD k a b", "PFMERGE k k k", "GET k", "PFMERGE",
          "EXPIRE k 100", "PFMERGE k d", "TTL k"], state=True)  # fmt: skip


def test_strings_that_are_none() -> None:
    script: list[AnyCommand] = [*OTHERS, "PFADD k a"]
    for name in NAMES:
        script += [f"PFCOUNT {name}", f"PFCOUNT k {name}", f"PFADD {name}", f"PFADD {name} a", f"PFADD {name} a b c",
                   f"PFMERGE k {name}", f"PFMERGE {name} k", f"PFCOUNT {name} l", f"PFMERGE new k l {name}",
                   f"GET {name}"]  # fmt: skip
    for name in NAMES:
        script += [f"PFDEBUG {word} {name}" for word in ("ENCODING", "DECODE", "BOGUS", "GETREG", "TODENSE", "getreg")]
    same(script, state=True)


def test_pfdebug() -> None:
    same([["PFADD", "k", *words(0, 300)], "PFDEBUG DECODE k", "PFDEBUG decode k", "PFDEBUG ENCODING k",
          "PFDEBUG GETREG k", "PFDEBUG ENCODING k", "PFDEBUG DECODE k", "PFDEBUG TODENSE k", "GET k", "PFADD j a",
          "PFDEBUG ToDense j", "PFDEBUG TODENSE j", "PFCOUNT j", "PFDEBUG", "PFDEBUG GETREG", "PFDEBUG GETREG j k",
          "PFDEBUG bogus j", "PFDEBUG bogus missing", ["PFDEBUG", b"bo\0gus", "j"], "PFDEBUG SIMD", "PFSELFTEST x",
          "PFADD e", "PFDEBUG DECODE e", Skip("PFDEBUG SIMD on"), Skip("PFDEBUG simd OFF"), Skip("PFDEBUG SIMD ON")],
         state=True)  # fmt: skip
    # Redis tests itself with ten million elements, for seconds.
    same([Each("PING", "PFSELFTEST")], resp=(2,), mask=lambda reply: b"")


def registers_of(kind: str) -> bytes:
    random.seed(kind)
    return {
        "zeros": bytes(12288), "all 63": b"\xff" * 12288, "all 51": b"\xf3\x3c\xcf" * 4096,
        "all 50": b"\xb2\x2c\xcb" * 4096, "all 1": b"\x41\x10\x04" * 4096, "random": random.randbytes(12288),
        "one 51": b"\x33" + bytes(12287), "one 63": bytes(12287) + b"\xfc", "half": b"\xff" * 6144 + bytes(6144),
        "nearly 51": b"\xf3\x3c\xcf" * 4095 + bytes(3),
    }[kind]  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["zeros", "all 63", "all 51", "all 50", "all 1", "random", "one 51", "one 63", "half", "nearly 51"],
)
def test_registers_that_no_hash_makes(kind: str) -> None:
    value = b"HYLL\0" + bytes(10) + b"\x80" + registers_of(kind)
    same([["SET", "k", value], "PFCOUNT k", "GET k", "PFCOUNT k", "PFCOUNT k missing", ["PFADD", "k", *words(0, 50)],
          "GET k", "PFADD s a b c", "PFMERGE s k", "GET s", "PFDEBUG GETREG k"], resp=(3,))  # fmt: skip


def broken(seed: int) -> bytes:
    """A sparse value; in most of them a few bytes are changed, removed or put in."""
    rng = random.Random(seed)
    body = bytearray()
    covered = 0
    for _ in range(rng.choice([3, 20, 200])):
        kind, span = rng.randrange(4), rng.randrange(1, 64)
        if kind == 0:
            body.append(span - 1)
        elif kind == 1:
            span += rng.choice([0, 0, 0, 500])
            body += bytes((0x40 | span - 1 >> 8, span - 1 & 0xFF))
        else:
            span = span % 4 + 1
            body.append(0x80 | rng.randrange(3) << 2 | span - 1)
        covered += span
    rest = max(16384 - covered, 1)
    body += bytes((0x40 | rest - 1 >> 8, rest - 1 & 0xFF))
    if rng.random() < 0.6:
        at = rng.randrange(len(body))
        body[at : at + rng.choice([0, 1, 1, 2])] = rng.randbytes(rng.choice([0, 1, 1, 3]))
    return b"HYLL\x01" + bytes(3) + b"\x07" + bytes(6) + bytes((rng.choice([0, 0x80, 0x80]),)) + bytes(body)


def ends_in_half_an_opcode(value: bytes) -> bool:
    """Whether the last opcode lacks its second byte: Redis then reads what is behind the string."""
    at = 16
    while at < len(value):
        at += 2 if value[at] & 0xC0 == 0x40 else 1
    return at > len(value)


@pytest.mark.parametrize("part", range(10))
def test_broken_sparse_values(part: int) -> None:
    script: list[AnyCommand] = ["PFADD good a b c d", "PFADD dense a", "PFDEBUG TODENSE dense"]
    for seed in range(part * 25, part * 25 + 25):
        value = broken(seed)
        if ends_in_half_an_opcode(value):
            continue
        again: AnyCommand = ["SET", "k", value]
        script += [again, "PFDEBUG DECODE k", "PFCOUNT k", "GET k", "PFCOUNT k good", *(
            command for word in words(0, 12) for command in (["PFADD", "k", word], "GET k")
        ), "PFCOUNT k", again, "PFMERGE good k", again, "PFMERGE k good", "GET k", again, "PFMERGE k dense", "GET k",
            again, "PFDEBUG TODENSE k", again, "PFDEBUG GETREG k"]  # fmt: skip
    same(script, resp=(2,), state=True)


def test_the_text_of_opcodes() -> None:
    value = b"HYLL" + bytes((SPARSE,)) + bytes(11) + b"\x00\x3f\x40\x00\x7f\xff\x80\xff\x83"
    same([["SET", "k", value], "PFDEBUG DECODE k"])
    assert opcodes(value) == b"z:1 z:64 Z:1 Z:16384 v:1,1 v:32,4 v:1,4"


KEYS = st.sampled_from(["a", "b", "c"])
WORDS = st.lists(st.integers(0, 400).map(str), max_size=60)
COMMANDS = st.one_of(
    st.builds(lambda key, elements: ["PFADD", key, *elements], KEYS, WORDS),
    st.builds(
        lambda key, start, n: ["PFADD", key, *words(start, start + n)], KEYS, st.integers(0, 9), st.integers(1, 800)
    ),
    st.builds(lambda keys: ["PFCOUNT", *keys], st.lists(KEYS, min_size=1, max_size=3)),
    st.builds(lambda keys: ["PFMERGE", *keys], st.lists(KEYS, min_size=1, max_size=3)),
    st.builds(lambda key: ["GET", key], KEYS),
    st.builds(lambda key: ["PFDEBUG", "TODENSE", key], KEYS),
    st.builds(lambda key: ["PFDEBUG", "DECODE", key], KEYS),
    st.builds(lambda a, b: ["COPY", a, b], KEYS, KEYS),
    st.builds(lambda a: ["DEL", a], KEYS),
)


@examples(80)
@given(st.lists(COMMANDS, max_size=25))
def test_generated_commands(script: list[AnyCommand]) -> None:
    agree(script)


def test_events() -> None:
    with pair(cleanup=('CONFIG SET notify-keyspace-events ""',)) as servers:
        listener, client = servers.client(resp=3), servers.client()
        client.do("CONFIG SET notify-keyspace-events KEAmn")
        listener.do("PSUBSCRIBE __key*")
        for command in ("PFADD k", "PFADD k", "PFADD k a", "PFADD k a", "PFCOUNT k", "PFCOUNT k m", "PFCOUNT m",
                        "PFMERGE k", "PFMERGE d k m", "PFMERGE d d", "PFDEBUG TODENSE k", "PFDEBUG ENCODING m",
                        "RPUSH l a", "PFMERGE l k", "PFADD l a"):  # fmt: skip
            client.do(command)
            servers.settle()
            listener.drain()


def test_watched_keys() -> None:
    with pair() as servers:
        one, two = servers.client(), servers.client()
        one.do("PFADD k a")
        for command in ("PFADD k a", "PFCOUNT k", "PFCOUNT k", "PFADD k b", "PFCOUNT k m", "PFMERGE k"):
            one.do("WATCH k")
            two.do(command)
            one.do("MULTI")
            one.do("EXEC")


@requires("8.10")
@pytest.mark.parametrize("size", [0, 1, 100, 3000])
def test_sunioncard_approx(size: int) -> None:
    script: list[AnyCommand] = []
    if size:
        script += [
            ["SADD", "a", *words(0, size)],
            ["SADD", "b", *words(size // 2, 2 * size)],
            ["SADD", "n", *range(size)],
        ]
    for limit in ("", "LIMIT 0", "LIMIT 1", "LIMIT 50", "LIMIT 1000", "LIMIT 1024", "LIMIT 2500", "LIMIT 100000"):
        script += [f"SUNIONCARD 2 a b APPROX {limit}", f"SUNIONCARD 4 a b n missing {limit} APPROX",
                   f"SUNIONCARD 1 a APPROX {limit} APPROX"]  # fmt: skip
    same([*script, "SET s x", "SUNIONCARD 2 a s APPROX", "SUNIONCARD 1 a APPROX LIMIT", "SDIFFCARD 1 a APPROX"])
