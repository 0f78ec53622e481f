"""Packed fields against plain lists of names and values, pure and compiled."""

from array import array
from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams import packed_fields
from broker.values.streams.entry import encode_entry
from protocol.replies import bulks
from tests import twins

both = twins.both("broker.values.streams.packed_fields", "broker.values.streams._packed_fields")

NUMBERS = st.sampled_from([0, 127, 128, 4095, 4096, 2**15, 2**23, 2**31, 2**63 - 1, 2**63, 2**64]).flatmap(
    lambda n: st.sampled_from([n, -n, n - 1, -n - 1])
)
TEXTS = st.one_of(
    st.binary(max_size=70),
    NUMBERS.map(lambda n: b"%d" % n),
    st.sampled_from([b"", b"-0", b"007", b"\xff", b"\r\n"]),
    st.sampled_from([63, 64, 127, 128, 4095, 4096, 16384]).map(lambda n: b"x" * n),
)
NAMES = st.lists(st.sampled_from([b"f", b"g", b"", b"12", b"\xff", b"n" * 70]), min_size=1, max_size=3)
NARROW = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**32 - 1])
ORIGINS = (0, 7, 1526919030474, 2**64 - 2**32)


@st.composite
def entries(draw: st.DrawFn) -> tuple[list[bytes], list[list[bytes]]]:
    """A node's names, and the fields of its entries, about half of which have these names."""
    names = draw(NAMES)
    found = []
    for _ in range(draw(st.integers(1, 8))):
        own = names if draw(st.booleans()) else draw(NAMES)
        found.append([part for name in own for part in (name, draw(TEXTS))])
    return names, found


@both
@given(entries())
def test_packing(module: ModuleType, made: tuple[list[bytes], list[list[bytes]]]) -> None:
    names, all_fields = made
    packed, ends = module.pack([encode_entry(7, seq, fields)[1] for seq, fields in enumerate(all_fields)], names)
    assert packed == b"".join(packed_fields.pack_fields(fields, names) for fields in all_fields)
    assert ends[-1] == len(packed)
    for fields, (begin, end) in zip(all_fields, pairwise((0, *ends)), strict=True):
        assert packed_fields.unpack_fields(packed[begin:end], names) == fields
        assert packed.startswith(b"\xff", begin) == (fields[::2] != names)
        assert module.fields_text(packed, begin, end, names) == bulks(fields)


@both
@given(entries(), st.data(), st.sampled_from("HIQ"), st.sampled_from(ORIGINS))
def test_texts(
    module: ModuleType, made: tuple[list[bytes], list[list[bytes]]], data: st.DataObject, code: str, ms: int
) -> None:
    names, all_fields = made
    count = len(all_fields)
    parts = sorted(data.draw(st.sets(st.tuples(NARROW, NARROW), min_size=count, max_size=count)))
    texts = [encode_entry(ms + part[0], part[1], fields)[1] for part, fields in zip(parts, all_fields, strict=True)]
    packed, ends = packed_fields.pack(texts, names)
    if len(packed) > 0xFFFF and code == "H":
        code = "I"
    keys = array("Q", [delta << 32 | seq for delta, seq in parts])
    for start in range(count):
        for end in range(start + 1, count + 1):
            found = module.narrow_text(packed, array(code, ends), keys, start, end, ms, names)
            assert found == b"".join(texts[start:end])


@both
def test_many_entries_of_a_millisecond_and_of_growing_length(module: ModuleType) -> None:
    parts = [(99 + n // 3, n) for n in range(300)]
    texts = [encode_entry(ms, seq, [b"f", b"v" * (seq % 200)])[1] for ms, seq in parts]
    packed, ends = module.pack(texts, [b"f"])
    keys = array("Q", [ms - 99 << 32 | seq for ms, seq in parts])
    assert module.narrow_text(packed, ends, keys, 0, 300, 99, [b"f"]) == b"".join(texts)
    assert module.narrow_text(packed, ends, keys, 2, 299, 99, [b"f"]) == b"".join(texts[2:299])


@both
def test_ends_in_the_narrowest_array(module: ModuleType) -> None:
    for size, code in ((0, "H"), (65_529, "H"), (65_530, "I")):
        # Before the text come five bytes, behind it three.
        packed, ends = module.pack([encode_entry(1, 1, [b"f", b"x" * (size - 2 if size else 0)])[1]], [b"f"])
        assert (ends.typecode, list(ends)) == (code, [len(packed)])
    assert [*module.pack([], [b"f"])[1]] == []
    for values, code in (([], "H"), ([65535], "H"), ([1, 65536], "I"), ([2**32 - 1], "I"), ([2**32], "Q")):
        assert module.ends_array(values).typecode == code
        assert list(module.ends_array(values)) == values


def test_no_such_entries() -> None:
    packed, ends = packed_fields.pack([encode_entry(1, 1, [b"f", b"v"])[1]], [b"f"])
    if packed_fields.pack.__module__ == packed_fields.__name__:
        pytest.skip("the source relies on its callers")
    for start, end in ((-1, 1), (0, 2), (1, 1)):
        with pytest.raises(IndexError):
            packed_fields.narrow_text(packed, ends, array("Q", [1]), start, end, 1, [b"f"])
    with pytest.raises(IndexError):
        packed_fields.fields_text(packed, 0, len(packed) + 1, [b"f"])
    with pytest.raises(TypeError):
        packed_fields.pack([bytearray(b"*2\r\n")], [b"f"])  # type: ignore[list-item]
