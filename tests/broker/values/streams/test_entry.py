"""The encoding of entries, pure and compiled."""

from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.listpack_size import element_size, integer_size, wrapped_integer_size
from broker.values.streams.entry import decode_fields
from tests import twins

both = twins.both("broker.values.streams.entry", "broker.values.streams._entry")

INTEGERS = st.integers(-(2**64), 2**64).map(lambda n: b"%d" % n)
EDGES = [
    b"",
    b"0",
    b"-0",
    b"00",
    b"-",
    b"127",
    b"128",
    b"4096",
    b"32768",
    b"8388608",
    b"2147483648",
    b"1_0",
    b"1a",
    b"+1",
]
TEXTS = (
    st.binary(max_size=70)
    | INTEGERS
    | st.sampled_from([*EDGES, b"x" * 63, b"x" * 64, b"x" * 999, b"x" * 1024, b"x" * 5000])
)
FIELDS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5).map(
    lambda pairs: [text for pair in pairs for text in pair]
)
PARTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 9, 10, 99, 1526919030474, 2**64 - 1])
NAMES = st.lists(st.sampled_from([b"f", b"long" * 20, b"7", b""]), min_size=1, max_size=3)


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


@both
def test_encoding(module: ModuleType) -> None:
    bulk_id, entry, raw, size = module.encode_entry(1, 1, [b"ab", b"c"])
    assert bulk_id == b"$3\r\n1-1\r\n"
    assert entry == b"*2\r\n$3\r\n1-1\r\n*2\r\n$2\r\nab\r\n$1\r\nc\r\n"
    assert (raw, size) == (3, 3)


@both
@given(ms=PARTS, seq=PARTS, fields=FIELDS)
def test_any_entry(module: ModuleType, ms: int, seq: int, fields: list[bytes]) -> None:
    bulk_id, entry, raw, size = module.encode_entry(ms, seq, fields)
    assert bulk_id == bulk(b"%d-%d" % (ms, seq))
    assert entry == b"*2\r\n" + bulk_id + b"*%d\r\n" % len(fields) + b"".join(map(bulk, fields))
    assert raw == sum(map(len, fields))
    assert size == sum(map(element_size, fields[1::2]))
    assert decode_fields(entry) == fields


@both
def test_many_fields(module: ModuleType) -> None:
    fields = [b"%d" % n for n in range(4000)]
    assert decode_fields(module.encode_entry(5, 5, fields)[1]) == fields


@both
@settings(max_examples=300)
@given(ms=PARTS, seq=PARTS, fields=FIELDS, names=NAMES, same=st.booleans())
def test_an_entry_for_a_node(
    module: ModuleType, ms: int, seq: int, fields: list[bytes], names: list[bytes], same: bool
) -> None:
    """Only other names than those of the node take room in its listpack, and their number with them."""
    names = fields[::2] if same else names
    added = module.encode_added(ms << 64 | seq, fields, names)
    id_bulk, entry, raw, values = module.encode_entry(ms, seq, fields)
    count = len(fields) // 2
    if fields[::2] == names:
        # Redis's integer at the end: the number of elements.
        size = values + integer_size(count + 3) - 2
    else:
        own = sum(map(element_size, fields[::2])) + integer_size(count) + integer_size(2 * count + 4)
        size = values + own - 2
    assert added == (id_bulk, entry, raw, size, ms, seq)


@both
@given(
    first=st.tuples(st.sampled_from([0, 5, 1 << 40]), PARTS),
    later=st.tuples(st.sampled_from([0, 1, 127, 128, 1 << 33]), st.integers(0, 2**64 - 20)),
    entries=st.lists(FIELDS, max_size=8), start=st.integers(0, 3), names=NAMES, space=st.integers(0, 400),
    room=st.integers(0, 8),
)  # fmt: skip
def test_a_run_is_encoded_as_its_entries_are(
    module: ModuleType, first: tuple[int, int], later: tuple[int, int], entries: list[list[bytes]], start: int,
    names: list[bytes], space: int, room: int,
) -> None:  # fmt: skip
    (ms, seq), (delta, next_seq) = first, later
    texts: list[bytes] = []
    left = space
    for fields in entries[start : start + room]:
        id = (ms + delta) << 64 | next_seq + len(texts)
        _, text, raw, size, _, _ = module.encode_added(id, fields, names)
        if raw >= left:
            break
        left -= size + 4 + wrapped_integer_size(delta) + wrapped_integer_size(next_seq + len(texts) - seq)
        texts.append(text)
    found = module.encode_run((ms + delta) << 64 | next_seq, entries, start, names, space, room, ms << 64 | seq)
    assert found == (texts, left)


@both
@given(fields=FIELDS, name=TEXTS)
def test_the_value_of_a_field(module: ModuleType, fields: list[bytes], name: bytes) -> None:
    entry = module.encode_entry(5, 7, fields)[1]
    for wanted in (name, *fields):
        expected = next((value for own, value in zip(fields[::2], fields[1::2], strict=True) if own == wanted), None)
        assert module.field_value(entry, wanted) == expected
