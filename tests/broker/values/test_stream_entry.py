"""The encoding of entries."""

from hypothesis import given
from hypothesis import strategies as st

from broker.values.stream_entry import decode_fields, encode_entry, fields_part

FIELDS = st.lists(st.binary(max_size=8) | st.just(b"x" * 2000), min_size=2, max_size=8)


def test_encoding() -> None:
    entry, raw = entry_and_size([b"ab", b"c"])
    assert entry == b"*2\r\n$3\r\n1-1\r\n*2\r\n$2\r\nab\r\n$1\r\nc\r\n"
    assert raw == 3
    assert fields_part(entry) == b"*2\r\n$2\r\nab\r\n$1\r\nc\r\n"


@given(FIELDS)
def test_decoding(fields: list[bytes]) -> None:
    entry, raw = entry_and_size(fields)
    assert decode_fields(entry) == fields
    assert raw == sum(map(len, fields))


def test_many_fields() -> None:
    fields = [b"%d" % n for n in range(4000)]
    assert decode_fields(entry_and_size(fields)[0]) == fields
