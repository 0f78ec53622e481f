"""Bits of strings, pure and compiled, beside plain models of single bits."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values import bits
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.values.bits")

both = twins.both("broker.values.bits", "broker.values._bits")

BLOCK = bits.BLOCK
EDGES = [0, 1, 7, 8, 9, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]
TEXTS = (
    st.binary(min_size=1, max_size=70)
    | st.builds(lambda fill, n, tail: bytes([fill]) * n + tail, st.sampled_from([0, 255]), st.sampled_from(EDGES[1:]),
                st.binary(max_size=3))
).flatmap(lambda text: st.sampled_from([text, bytearray(text)]))  # fmt: skip


@both
@pytest.mark.parametrize(
    ("text", "unit", "limit", "offset"),
    [
        (b"0", 1, 1, 0), (b"7", 1, 1, 7), (b"8", 1, 1, -1), (b"123456", 1, 1 << 29, 123456), (b"0", 1, 0, -1),
        (b"3", 63, 512, 189), (b"64", 64, 512, -1), (b"63", 64, 512, 4032),
        (b"9223372036854775807", 1, (1 << 60) + 1, (1 << 63) - 1), (b"9223372036854775808", 1, (1 << 63) - 1, -1),
        (b"9223372036854775807", 2, (1 << 63) - 1, -1), (b"4611686018427387904", 2, (1 << 63) - 1, -1),
        (b"4611686018427387903", 2, (1 << 63) - 1, (1 << 63) - 2), (b"9" * 19, 1, 1 << 62, -1),
        (b"9" * 20, 1, 1 << 62, -1), (b"1" * 100, 1, 1 << 62, -1), (b"00", 1, 9, -1), (b"01", 1, 9, -1),
        (b"", 1, 9, -1), (b"-0", 1, 9, -1), (b"-1", 1, 9, -1), (b"+1", 1, 9, -1), (b" 1", 1, 9, -1), (b"1 ", 1, 9, -1),
        (b"1_0", 1, 9, -1), (b"1\0", 1, 9, -1), (b"a", 1, 9, -1), (b"1/", 1, 9, -1), (b"1:", 1, 9, -1),
        (b"\xff", 1, 9, -1),
    ],
)  # fmt: skip
def test_offsets(module: ModuleType, text: bytes, unit: int, limit: int, offset: int) -> None:
    assert module.offset_of(text, unit, limit) == offset


@given(text=st.binary(max_size=21) | st.integers(-2, 1 << 64).map(lambda n: b"%d" % n), unit=st.integers(1, 64),
       limit=st.integers(0, (1 << 63) - 1))  # fmt: skip
def test_both_take_the_same_offsets(text: bytes, unit: int, limit: int) -> None:
    assert bits.offset_of(text, unit, limit) == PURE.offset_of(text, unit, limit)


@both
@given(value=st.binary(max_size=20), steps=st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 1]))))
def test_exchanging_bits(module: ModuleType, value: bytes, steps: list[tuple[int, int]]) -> None:
    changed = bytearray(value)
    model = list(text_of(value))
    for offset, bit in steps:
        former = module.exchange(changed, offset, bit)
        if offset >= len(model):
            assert former == -1
        else:
            assert former == int(model[offset])
            model[offset] = str(bit)
        assert text_of(changed) == "".join(model)


@both
@pytest.mark.parametrize("value", [None, b"abc", ["a"]])
def test_nothing_but_a_bytearray_is_changed(module: ModuleType, value: object) -> None:
    assert module.exchange(value, 3, 1) == -1


def text_of(value: bytes | bytearray) -> str:
    """The bits as characters."""
    return "".join(f"{byte:08b}" for byte in value)


@both
@given(value=TEXTS, data=st.data())
def test_counting_and_finding(module: ModuleType, value: bytes | bytearray, data: st.DataObject) -> None:
    places = st.integers(0, 8 * len(value) - 1)
    first, last = sorted((data.draw(places), data.draw(places)))
    text = text_of(value)
    part = text[first : last + 1]
    assert module.count(value, first, last) == part.count("1")
    for bit in (0, 1):
        found = text.find(str(bit), first, last + 1)
        assert module.find(value, bit, first, last) == found


@both
@pytest.mark.parametrize("length", EDGES[1:])
def test_one_other_bit_is_found_wherever_it_is(module: ModuleType, length: int) -> None:
    for fill, bit in ((0x00, 1), (0xFF, 0)):
        for at in {0, length // 2, length - 1}:
            value = bytearray([fill]) * length
            value[at] ^= 0x10
            assert module.find(value, bit, 0, 8 * length - 1) == 8 * at + 3
            assert module.find(value, bit, 8 * at + 3, 8 * at + 3) == 8 * at + 3
            assert module.find(value, bit, 8 * at + 4, 8 * length - 1) == -1
            assert module.find(value, bit, 0, 8 * at + 2) == -1


@both
@given(value=st.binary(max_size=99), start=st.integers(0, 99), end=st.integers(0, 99))
def test_counting_bytes(module: ModuleType, value: bytes, start: int, end: int) -> None:
    assert module.count_in_bytes(value, start, end) == text_of(value[start:end]).count("1")


def _model(operation: bytes, column: list[int]) -> int:
    first, *others = column
    return {
        b"AND": all(column), b"OR": any(column), b"XOR": sum(column) % 2, b"NOT": not first,
        b"DIFF": first and not any(others), b"DIFF1": not first and any(others), b"ANDOR": first and any(others),
        b"ONE": sum(column) == 1,
    }[operation]  # fmt: skip


OPERATIONS = [b"AND", b"OR", b"XOR", b"NOT", b"DIFF", b"DIFF1", b"ANDOR", b"ONE"]


@both
@pytest.mark.parametrize("operation", OPERATIONS)
@given(sources=st.lists(st.binary(max_size=20) | st.binary(max_size=20).map(bytearray), min_size=2, max_size=5))
def test_combining(module: ModuleType, operation: bytes, sources: list[bytes]) -> None:
    if operation == b"NOT":
        sources = sources[:1]
    length = max(map(len, sources))
    columns = zip(*(map(int, text_of(bytes(source).ljust(length, b"\0"))) for source in sources), strict=True)
    expected = "".join(str(int(_model(operation, list(column)))) for column in columns)
    result = module.combine(operation, sources)
    assert type(result) is bytearray
    assert text_of(result) == expected


@both
@pytest.mark.parametrize("operation", OPERATIONS)
def test_combining_at_the_edges_of_blocks(module: ModuleType, operation: bytes) -> None:
    for a in EDGES[1:]:
        for b in EDGES:
            sources = [b"\x5a" * a, b"\x66" * b, b"\x0f" * a][: 1 if operation == b"NOT" else 3]
            result = module.combine(operation, sources)
            both_there = module.combine(operation, [source[:1] for source in sources])
            assert len(result) == max(map(len, sources))
            if b:
                assert result[: min(a, b)] == both_there * min(a, b)
            if b < a:
                alone = module.combine(operation, [source[:1] if source[:1] != b"\x66" else b"" for source in sources])
                assert result[b:] == alone * (a - b)
