"""Listpacks, both ways."""

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values import listpack
from broker.values.listpack import BadListpack
from broker.values.listpack_size import element_size
from tests.twins import pure_module

PURE = pure_module("broker.values.listpack")

EDGES = [
    0, 1, 127, 128, 4095, 4096, 32767, 32768, 8388607, 8388608, 2**31 - 1, 2**31, 2**63 - 1,
    -1, -4096, -4097, -32768, -32769, -8388608, -8388609, -(2**31), -(2**31) - 1, -(2**63),
]  # fmt: skip
BYTES = st.sampled_from([0x7F, 0x80, 0xBF, 0xC0, 0xDF, 0xE0, 0xEF, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xFF])
TEXTS = st.one_of(st.binary(max_size=80), st.integers(-(2**65), 2**65).map(lambda n: b"%d" % n),
                  st.sampled_from([64, 127, 128, 4096, 17000]).map(lambda n: b"x" * n))  # fmt: skip


@pytest.mark.parametrize("number", EDGES)
def test_integers(number: int) -> None:
    text = b"%d" % number
    assert listpack.decode(listpack.encode([text, b"x"])) == [text, b"x"]
    assert listpack.element(text) == listpack.integer(number)
    assert len(listpack.integer(number)) == element_size(text)


@pytest.mark.parametrize("size", [0, 1, 62, 63, 64, 125, 126, 127, 128, 4095, 4096, 16378, 16383, 16384, 2097152])
def test_texts(size: int) -> None:
    text = b"x" * size
    assert listpack.decode(listpack.encode([text, b"7"])) == [text, b"7"]
    assert len(listpack.element(text)) == element_size(text)


@pytest.mark.parametrize("text", [b"-0", b"007", b"+1", b" 1", b"9223372036854775808", b"1.0", b"-"])
def test_texts_that_are_no_integers(text: bytes) -> None:
    assert listpack.decode(listpack.encode([text])) == [text]


def test_bytes_as_redis_has_them() -> None:
    assert listpack.encode([]) == b"\x07\0\0\0\0\0\xff"
    assert listpack.encode([b"a", b"5", b"-1"]) == b"\x0f\0\0\0\3\0\x81a\2\5\1\xdf\xff\2\xff"


@given(st.lists(TEXTS, max_size=40))
def test_round_trip(texts: list[bytes]) -> None:
    blob = listpack.encode(texts)
    assert listpack.decode(blob) == texts
    assert len(blob) == 7 + sum(map(element_size, texts))
    assert listpack.elements(blob[6:-1]) == PURE.elements(blob[6:-1]) == texts


def test_more_elements_than_the_header_can_tell() -> None:
    texts = [b"%d" % (n % 200) for n in range(70_000)]
    assert listpack.decode(listpack.encode(texts)) == texts


def test_at_most() -> None:
    for count in (5, 70_000):
        blob = listpack.encode([b"a"] * count)
        assert len(listpack.decode(blob, count)) == count
        with pytest.raises(BadListpack):
            listpack.decode(blob, count - 1)


def _outcome(module: ModuleType, blob: bytes, most: int) -> list[bytes] | None:
    try:
        elements: list[bytes] = module.decode(blob, most)
    except ValueError as error:
        # The pure module's own error is another class of the same name.
        assert type(error).__name__ == "BadListpack"
        return None
    return elements


@settings(max_examples=500)
@given(st.lists(TEXTS, max_size=10), st.data())
def test_twins_agree_on_damage(texts: list[bytes], data: st.DataObject) -> None:
    blob = bytearray(listpack.encode(texts))
    for _ in range(data.draw(st.integers(0, 2))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.one_of(st.integers(0, 255), BYTES))
    size = data.draw(st.integers(0, len(blob)))
    cut = bytes(blob[:size]).ljust(data.draw(st.sampled_from([size, len(blob)])), b"\xff")
    most = data.draw(st.sampled_from([0, 3, 10, 1 << 60]))
    assert _outcome(PURE, cut, most) == _outcome(listpack, cut, most)
    step = data.draw(st.sampled_from([1, 3, 10]))
    assert _runs(PURE, cut, step) == _runs(listpack, cut, step)


def _runs(module: ModuleType, blob: bytes, step: int) -> tuple[list[bytes], list[int], bool]:
    """The elements, the position after each `step` of them, and whether there was damage."""
    elements: list[bytes] = []
    places: list[int] = []
    try:
        while not places or places[-1] != len(blob):
            places.append(module.decode_run(blob, places[-1] if places else 0, step, elements))
    except ValueError as error:
        assert type(error).__name__ == "BadListpack"
        # A damaged run's elements don't count.
        return elements[: step * len(places)], places, True
    return elements, places, False


@given(st.lists(TEXTS, max_size=10), st.sampled_from([1, 3, 10]))
def test_runs(texts: list[bytes], step: int) -> None:
    elements, places, damaged = _runs(listpack, listpack.encode(texts), step)
    assert elements == texts
    assert not damaged
    assert len(places) == max(-(-len(texts) // step), 1)


@given(TEXTS)
def test_twins_agree_on_elements(text: bytes) -> None:
    assert PURE.element(text) == listpack.element(text)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x06\0\0\0\0\0",
        b"\x07\0\0\0\0\0\0",
        b"\x08\0\0\0\0\0\xff",
        b"\x07\0\0\0\1\0\xff",
        b"\x08\0\0\0\1\0\x81\xff",
        b"\x09\0\0\0\1\0\5\2\xff",
        b"\x09\0\0\0\0\0\5\1\xff",
        b"\x0a\0\0\0\1\0\5\1\xff\xff",
        b"\x09\0\0\0\1\0\xf5\1\xff",
        b"\x0c\0\0\0\1\0\xf0\xff\xff\xff\xff\xff",
    ],
)
def test_damage(blob: bytes) -> None:
    with pytest.raises(BadListpack):
        listpack.decode(blob)
