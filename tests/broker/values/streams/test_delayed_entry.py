"""Delayed entries as members of a sorted set."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.delayed_entry import number_of
from tests import twins

both = twins.both("broker.values.streams.delayed_entry", "broker.values.streams._delayed_entry")

TEXTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([31, 32, 255, 256, 65_535, 65_536]).map(lambda size: b"x" * size),
)


@both
@given(
    st.integers(0, (1 << 63) - 1),
    st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12),
    st.lists(TEXTS, max_size=20),
)
def test_round_trip(module: ModuleType, number: int, pairs: list[tuple[bytes, bytes]], options: list[bytes]) -> None:
    fields = [text for pair in pairs for text in pair]
    member = module.pack(number, fields, options)
    assert number_of(member) == number
    assert module.unpack(member) == (fields, options)


@both
def test_a_run_of_plain_entries_ends_at_another(module: ModuleType) -> None:
    fields = [[b"n", b"%d" % number] for number in range(4)]
    plain = [module.pack(number, entry, []) for number, entry in enumerate(fields)]
    for other in (module.pack(9, [b"n", b"9"], [b"NOMKSTREAM"]), plain[0][:-1], b"", plain[0] + b"\x92"):
        members = [*plain, other, *plain]
        assert module.unpack_plain(members, 0) == fields
        assert module.unpack_plain(members, 3) == fields[3:]
        assert module.unpack_plain(members, 4) == []
        assert module.unpack_plain(members, 6) == fields[1:]
    # An array of no options is none.
    assert module.unpack_plain([plain[1] + b"\x90"], 0) == fields[1:2]


@both
def test_many_fields(module: ModuleType) -> None:
    fields = [b"%d" % number for number in range(70_000)]
    assert module.unpack(module.pack(1, fields, []))[0] == fields


@both
def test_the_form_is_message_pack(module: ModuleType) -> None:
    number = b"\0\0\0\0\0\0\1\2"
    assert module.pack(258, [b"a", b"1"], []) == number + b"\x92\xa1a\xa11"
    assert module.pack(258, [b"a", b"1"], [b"NOMKSTREAM"]) == number + b"\x92\xa1a\xa11\x91\xaaNOMKSTREAM"
    assert module.pack(258, [b"a", b"1" * 40], [])[8:] == b"\x92\xa1a\xd9\x28" + b"1" * 40
    assert module.pack(258, [b"a", b"1" * 300], [])[8:14] == b"\x92\xa1a\xda\x01\x2c"
    assert module.pack(258, [b"a"] * 16, [])[8:13] == b"\xdc\x00\x10\xa1a"


@both
def test_members_that_other_programs_packed_as_binary(module: ModuleType) -> None:
    assert module.unpack(b"\0" * 8 + b"\x92\xc4\1a\xc5\0\1b") == ([b"a", b"b"], [])
    assert module.unpack(b"\0" * 8 + b"\xdd\0\0\0\2\xc6\0\0\0\1a\xdb\0\0\0\1b") == ([b"a", b"b"], [])


@both
def test_the_order_is_that_of_the_numbers(module: ModuleType) -> None:
    numbers = [1, 2, 255, 256, 1 << 40]
    members = [module.pack(number, [b"z" * (10 - at), b""], []) for at, number in enumerate(numbers)]
    assert sorted(members) == members


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x90",  # no fields
        b"\x91\xa1a",  # a field without a value
        b"\x92\xa1a",  # too short
        b"\x92\xa1a\xa2b",
        b"\x92\xa1a\xd9",
        b"\x92\xa1a\xda\0",
        b"\x92\xa1a\1",  # a number
        b"\xa1a",
        b"\xdc",
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xa1a\xa1b\xa1c",  # the options are no array
        b"\x92\xa1a\xa1b\x91\xa1c\xa1d",  # more than two arrays
    ],
)
def test_what_is_no_entry(module: ModuleType, body: bytes) -> None:
    with pytest.raises(ValueError):
        module.unpack(b"\0" * 8 + body)


@both
@given(st.binary(max_size=60))
def test_any_bytes(module: ModuleType, member: bytes) -> None:
    try:
        fields, options = module.unpack(member)
    except ValueError:
        return
    assert fields and not len(fields) & 1
    assert module.unpack(module.pack(number_of(member), fields, options)) == (fields, options)


@both
def test_a_member_that_is_too_short_for_a_number(module: ModuleType) -> None:
    assert number_of(b"\1") == 1
    with pytest.raises(ValueError):
        module.unpack(b"\1")
