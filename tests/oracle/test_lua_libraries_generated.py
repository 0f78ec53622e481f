"""cjson, cmsgpack, struct and bit against the reference: generated values, texts, formats and slips in them."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import examples, same
from tests.oracle.lua_snippets import script

DOUBLES = st.floats() | st.integers(-(2**64), 2**64).map(float)


def as_lua(number: float) -> str:
    """A number in Lua's syntax, of which C's strtod makes the same double."""
    if number != number:
        return "(0/0)"
    return {float("inf"): "(1/0)", float("-inf"): "(-1/0)"}.get(number, f"({number!r})")


SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    # the order of longer keys is not the reference's, which has changed how Lua hashes those
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text("abcdefgh\n\xe9", max_size=9), inner, max_size=12)
    ),
    max_leaves=40,
)
ROUND = ["cjson.decode(ARGV[1])", "cjson.encode(cjson.decode(ARGV[1]))", "cmsgpack.pack(cjson.decode(ARGV[1]))"]


@examples(80)
@given(st.lists(st.tuples(VALUES, st.booleans(), st.sampled_from([None, 1, "\t", "\r"])), max_size=5))
def test_json_values(cases: list[tuple[Any, bool, int | str | None]]) -> None:
    texts = [json.dumps(value, ensure_ascii=plain, indent=indent) for value, plain, indent in cases]
    same([script(ROUND, text.encode("utf-8", "surrogatepass")) for text in texts], resp=(2,))


SLIPS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(b'[]{},:"\\ 0123456789eE+-.xntfu\0\n')), min_size=1, max_size=3
)


@examples(80)
@given(st.lists(st.tuples(VALUES, SLIPS), max_size=8))
def test_json_with_slips(cases: list[tuple[Any, list[tuple[int, int]]]]) -> None:
    steps = []
    for value, slips in cases:
        text = bytearray(json.dumps(value).encode())
        for at, code in slips:
            text[at % len(text)] = code
        steps.append(script(["cjson.decode(ARGV[1])"], bytes(text)))
    same(steps, resp=(2,))


PACKED = st.recursive(
    st.sampled_from([bytes([code]) for code in (0, 1, 0x7F, 0xC0, 0xC2, 0xC3, 0xE0, 0xFF, 0xA0, 0x80, 0x90)])
    | st.tuples(st.integers(0xC4, 0xDB).map(lambda code: bytes([code])), st.binary(max_size=9)).map(b"".join)
    | st.binary(max_size=20).map(lambda text: bytes([0xA0 + len(text)]) + text),
    lambda inner: (
        st.lists(inner, max_size=7).map(lambda items: bytes([0x90 + len(items)]) + b"".join(items))
        | st.lists(inner, max_size=6).map(lambda items: bytes([0x80 + len(items) // 2]) + b"".join(items))
    ),
    max_leaves=25,
)
CALLS = ["unpack(ARGV[1])", "unpack_one(ARGV[1])", "unpack_limit(ARGV[1], 2)", "unpack_limit(ARGV[1], 5, 1)"]


@examples(80)
@given(st.lists(PACKED | st.binary(max_size=40), max_size=8))
def test_messagepack(texts: list[bytes]) -> None:
    same([script(["cmsgpack." + call for call in CALLS], text) for text in texts], resp=(2,))


FORMATS = st.lists(
    st.sampled_from("bBhHlLTiIfdxcs <>!") | st.sampled_from("iIc").flatmap(lambda c: st.integers(0,
    33).map(f"{c}{{}}".format))
    | st.integers(0, 5).map(lambda power: f"!{2**power}"),
    max_size=8,
).map("".join)  # fmt: skip
ARGUMENTS = st.lists(
    DOUBLES.map(as_lua) | st.sampled_from(["'abc'", "'a\\0b'", "'12'", "('x'):rep(40)"]), max_size=8
).map(", ".join)


@examples(80)
@given(st.lists(st.tuples(FORMATS, ARGUMENTS, st.binary(max_size=80), st.integers(0, 9)), max_size=8))
def test_struct(cases: list[tuple[str, str, bytes, int]]) -> None:
    same(
        [
            script(
                [
                    f"struct.size('{format_}')",
                    f"struct.pack('{format_}'{arguments and ', '}{arguments})",
                    f"struct.unpack('{format_}', struct.pack('{format_}'{arguments and ', '}{arguments}))",
                    f"struct.unpack('{format_}', ARGV[1])",
                    f"struct.unpack('{format_}', ARGV[1], {start})",
                ],
                data,
            )
            for format_, arguments, data, start in cases
        ],
        resp=(2,),
    )


BIT = ["band", "bor", "bxor", "lshift", "rshift", "arshift", "rol", "ror", "tohex", "tobit", "bnot", "bswap"]


@examples(60)
@given(st.lists(st.lists(DOUBLES.map(as_lua), max_size=4).map(", ".join), max_size=8))
def test_bit(arguments: list[str]) -> None:
    same([script([f"bit.{name}({given})" for name in BIT]) for given in arguments], resp=(2,))
