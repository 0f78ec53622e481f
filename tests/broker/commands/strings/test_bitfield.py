"""Numbers in strings: what is propagated, and a model of the numbers as texts of bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.effects import contents, journal, lines, replay
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker, make_session, run


async def test_only_changes_are_propagated() -> None:
    async with running() as broker, running() as other:
        client = await broker.client()
        seen = journal(broker.broker)
        changing = [
            "BITFIELD k SET u8 0 255",
            "BITFIELD k GET u8 0 INCRBY u8 0 1",
            "BITFIELD grown OVERFLOW FAIL SET u8 100 256",
        ]
        for command in (
            *changing[:2], "BITFIELD k SET u8 0 0", "BITFIELD k GET u8 0", "BITFIELD_RO k GET u8 0", changing[2],
            "BITFIELD grown OVERFLOW FAIL SET u8 100 256", "BITFIELD k SET u8 0 x",
        ):  # fmt: skip
            await client.call(command)
        assert lines(seen) == changing
        await replay(seen, other)
        assert contents(other.broker) == contents(broker.broker)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("BITFIELD k GET u64 0", b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported"
         b" but i64 is."),
        ("BITFIELD k SET u8 -1 1", b"ERR bit offset is not an integer or out of range"),
        ("BITFIELD k SET u8 #536870912 1", b"ERR bit offset is not an integer or out of range"),
        ("BITFIELD k OVERFLOW NONE", b"ERR Invalid OVERFLOW type specified"),
        ("BITFIELD k INCRBY u8 0", b"ERR syntax error"),
        ("BITFIELD k INCRBY u8 0 1.5", b"ERR value is not an integer or out of range"),
        ("BITFIELD_RO k SET u8 0 1", b"ERR BITFIELD_RO only supports the GET subcommand"),
    ],
)  # fmt: skip
async def test_errors(command: str, error: bytes) -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call(command) == b"-" + error + b"\r\n"
        assert await client.call("DBSIZE") == b":0\r\n"


TYPES = st.tuples(st.booleans(), st.integers(1, 64)).filter(lambda kind: kind != (False, 64))
SETS = st.tuples(TYPES, st.integers(0, 150), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(SETS, max_size=10))
def test_set_and_get_beside_a_text_of_bits(sets: list[tuple[tuple[bool, int], int, int]]) -> None:
    session = make_session(make_broker())
    text = "0" * 256
    for (signed, width), offset, value in sets:
        kind = f"{'i' if signed else 'u'}{width}"
        bits = f"{value & (1 << width) - 1:0{width}b}"
        text = text[:offset] + bits + text[offset + width :]
        expected = int(bits, 2) - (1 << width if signed and bits[0] == "1" else 0)
        reply = run(session, f"BITFIELD k SET {kind} {offset} {value} GET {kind} {offset}")
        assert reply.endswith(b"\r\n:%d\r\n" % expected)
    assert bytes(session.db.get(b"k") or b"").ljust(32, b"\0") == int(text, 2).to_bytes(32, "big")


@given(TYPES, st.sampled_from([b"WRAP", b"SAT", b"FAIL"]), st.data())
def test_adding_beside_exact_numbers(kind: tuple[bool, int], overflow: bytes, data: st.DataObject) -> None:
    signed, width = kind
    low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
    old = data.draw(st.integers(low, high))
    increment = data.draw(st.integers(-(2**63), 2**63 - 1))
    session = make_session(make_broker())
    name = b"%b%d" % (b"i" if signed else b"u", width)
    run(session, [b"BITFIELD", b"k", b"SET", name, b"3", b"%d" % old])
    reply = run(session, [b"BITFIELD", b"k", b"OVERFLOW", overflow, b"INCRBY", name, b"3", b"%d" % increment])
    total = old + increment
    if low <= total <= high or overflow == b"WRAP":
        expected = b":%d" % ((total - low) % (1 << width) + low)
    elif overflow == b"SAT":
        expected = b":%d" % (high if total > high else low)
    else:
        expected = b"$-1"
    assert reply == b"*1\r\n" + expected + b"\r\n"
