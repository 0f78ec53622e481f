"""Strings, written one by one and in runs, read in runs; the compiled functions and the pure ones."""

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.rdb import strings as rdb_strings
from broker.values.list import List
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.formats.rdb.strings")
BOTH = twins.both("broker.formats.rdb.strings", "broker.formats.rdb._strings")

TEXTS = st.one_of(
    st.binary(max_size=100),
    st.integers(-(2**33), 2**33).map(lambda number: b"%d" % number),
    st.integers(0, 20_000).map(lambda size: b"ab" * size),
)
ITEMS = st.lists(st.tuples(TEXTS, TEXTS, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=30)


@BOTH
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b"\0"), (b"a", b"\1a"), (b"0", b"\xc0\0"), (b"-128", b"\xc0\x80"), (b"127", b"\xc0\x7f"),
        (b"128", b"\xc1\x80\0"), (b"-32768", b"\xc1\0\x80"), (b"-32769", b"\xc2\xff\x7f\xff\xff"),
        (b"2147483647", b"\xc2\xff\xff\xff\x7f"), (b"-2147483648", b"\xc2\0\0\0\x80"),
        (b"2147483648", b"\x0a2147483648"), (b"-2147483649", b"\x0b-2147483649"), (b"99999999999", b"\x0b99999999999"),
        (b"007", b"\x03007"), (b"-0", b"\2-0"), (b"-", b"\1-"), (b"+1", b"\2+1"), (b"1 ", b"\x021 "),
        (b"a" * 20, b"\x14" + b"a" * 20), (b"a" * 21, b"\xc3\5\x15\0a\xe0\x0b\0"),
        (b"a" * 100, b"\xc3\5\x40\x64\0a\xe0\x5a\0"),
    ],
)  # fmt: skip
def test_a_string(module: ModuleType, text: bytes, expected: bytes) -> None:
    for form in (text, bytearray(text)):
        out = bytearray(b">")
        module.append_string(out, form)
        assert out == b">" + expected


@BOTH
def test_uncompressed(module: ModuleType) -> None:
    out = bytearray()
    module.append_string(out, b"a" * 100, False)
    assert out == b"\x40\x64" + b"a" * 100


@given(st.lists(TEXTS), st.booleans())
def test_twins_write_the_same(texts: list[bytes], compress: bool) -> None:
    one, other = bytearray(), bytearray()
    for text in texts:
        rdb_strings.append_string(one, text, compress)
        PURE.append_string(other, text, compress)
    assert one == other


def appended(module: ModuleType, items: list[tuple[bytes, Any]], expires: dict[bytes, int], **more: Any) -> bytes:
    """The bytes for all items, which must all be plain strings."""
    out = bytearray()
    given_ = {"hints": None, "compress": True, "most": 1 << 30, **more}
    assert module.append_string_keys(
        out, items, 0, expires, given_["hints"], given_["compress"], given_["most"]
    ) == len(items)
    return bytes(out)


@given(ITEMS, st.booleans(), st.booleans())
def test_keys_are_read_as_they_were_written(
    items: list[tuple[bytes, bytes, int | None]], compress: bool, hinted: bool
) -> None:
    values = {key: value for key, value, _ in items}
    expires = {key: deadline for key, _, deadline in items if deadline is not None}
    pairs = list(values.items())
    written = appended(rdb_strings, pairs, expires, compress=compress)
    assert written == appended(PURE, pairs, expires, compress=compress)
    for module in (rdb_strings, PURE):
        found: dict[bytes, bytes] = {}
        deadlines: dict[bytes, int] = {}
        assert module.read_string_keys(written, 0, 1000, found, deadlines) == (len(written), len(pairs))
        assert list(found.items()) == pairs and deadlines == expires
    if hinted:
        hints = [b"\xf9%c" % (n % 256) for n in range(len(pairs))]
        assert appended(rdb_strings, pairs, {}, hints=hints) == appended(PURE, pairs, {}, hints=hints)


@BOTH
def test_a_run_ends_before_another_type_and_where_there_is_enough(module: ModuleType) -> None:
    items: list[tuple[bytes, Any]] = [(b"a", b"1"), (b"b", b"2"), (b"c", List([b"x"])), (b"d", bytearray(b"y"))]
    out = bytearray()
    assert module.append_string_keys(out, items, 0, {}, None, True, 1000) == 2
    assert module.append_string_keys(out, items, 2, {}, None, True, 1000) == 2
    assert module.append_string_keys(out, items, 3, {}, None, True, 1000) == 3
    assert out == b"\0\1a\xc0\1\0\1b\xc0\2"
    assert module.append_string_keys(bytearray(), items, 0, {}, None, True, 1) == 1
    assert module.append_string_keys(bytearray(b"full"), items, 0, {}, None, True, 4) == 0


RUN = b"\0\1a\xc0\1" + b"\xfc\1\0\0\0\0\0\0\x80\0\1b\1x" + b"\0\1c\xc3\5\x40\x64\0a\xe0\x5a\0"


@BOTH
def test_a_run_stops_at_what_is_cut(module: ModuleType) -> None:
    ends = [0, 5, 19, len(RUN)]
    for size in range(len(RUN) + 1):
        values: dict[bytes, bytes] = {}
        deadlines: dict[bytes, int] = {}
        whole = sum(end <= size for end in ends) - 1
        assert module.read_string_keys(RUN[:size], 0, 9, values, deadlines) == (ends[whole], whole)
        assert values == dict(list({b"a": b"1", b"b": b"x", b"c": b"a" * 100}.items())[:whole])
        assert deadlines == ({b"b": 1 - 2**63} if whole > 1 else {})


@BOTH
@pytest.mark.parametrize(
    "wrong",
    [b"\1", b"\xff", b"\0\xc4", b"\0\x82", b"\0\1k\xc3\2\2", b"\0\1k\xc3\2\3\0a", b"\0\1k\xc3\xc0\1",
     b"\0\1k\x81\xff\xff\xff\xff\xff\xff\xff\xffabc", b"\0\1k\xc3\2\x81\xff\xff\xff\xff\xff\xff\xff\xff\0a",
     b"\0\1k\xc3\2\x81\x80\0\0\0\0\0\0\0\0a", b"\xfc1234567", b"\xfc12345678", b"\xfc12345678\1"],
)  # fmt: skip
def test_a_run_stops_at_what_is_wrong(module: ModuleType, wrong: bytes) -> None:
    for more in (b"", b"abc"):
        values: dict[bytes, bytes] = {}
        assert module.read_string_keys(b"\0\1a\xc0\1" + wrong + more, 0, 9, values, {}) == (5, 1)
        assert values == {b"a": b"1"}


@BOTH
def test_no_more_than_wanted(module: ModuleType) -> None:
    values: dict[bytes, bytes] = {}
    assert module.read_string_keys(RUN, 0, 1, values, {}) == (5, 1)
    assert module.read_string_keys(RUN, 5, 0, values, {}) == (5, 0)
    out: list[bytes] = []
    assert module.read_strings(b"\1a\1b\1c", 0, 2, out) == 4
    assert out == [b"a", b"b"]
    assert module.read_strings(b"\1a\1b\1c", 4, 2, out) == 6
    assert out == [b"a", b"b", b"c"]


@given(st.binary(max_size=60))
def test_twins_read_the_same_of_anything(data: bytes) -> None:
    results: list[Any] = []
    for module in (rdb_strings, PURE):
        out: list[bytes] = []
        values: dict[bytes, bytes] = {}
        deadlines: dict[bytes, int] = {}
        results.append((module.read_strings(data, 0, 99, out), out))
        results[-1] += (module.read_string_keys(b"\0" + data, 0, 99, values, deadlines), values, deadlines)
    assert results[0] == results[1]
