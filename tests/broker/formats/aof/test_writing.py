"""Effects as the bytes of an append-only file."""

from collections.abc import Callable
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from broker.formats.aof import writing as aof_writing
from broker.formats.aof.writing import CommandWriter, sealed
from tests import twins
from tests.oracle.wire import encode
from tests.twins import pure_module

PURE = pure_module("broker.formats.aof.writing")

SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
SELECT_0 = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
SELECT_12 = b"*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n"
MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"
COMMAND = [b"SET", b"a", b"1"]


def test_a_file_begins_with_select_and_repeats_it_only_for_another_database() -> None:
    writer = CommandWriter()
    assert writer.database is None
    assert writer.encode([(0, COMMAND)]) == SELECT_0 + SET
    assert writer.encode([(0, COMMAND)]) == SET
    assert writer.encode([(12, COMMAND)]) == SELECT_12 + SET
    assert writer.database == 12
    assert writer.encode([]) == b""


def test_several_effects_stand_between_multi_and_exec() -> None:
    writer = CommandWriter()
    assert writer.encode([(0, COMMAND), (0, COMMAND)]) == SELECT_0 + MULTI + SET + SET + EXEC
    assert writer.encode([(0, COMMAND), (12, COMMAND)]) == MULTI + SET + SELECT_12 + SET + EXEC
    assert writer.encode([(0, COMMAND)]) == SELECT_0 + SET


def test_a_second_has_one_timestamp() -> None:
    writer = CommandWriter()
    assert writer.timestamp(1700000000) == b"#TS:1700000000\r\n"
    assert writer.timestamp(1700000000) == b""
    assert writer.timestamp(1699999999) == b""
    assert writer.timestamp(1700000001) == b"#TS:1700000001\r\n"


def test_a_batch_ends_with_its_checksum() -> None:
    assert sealed(b"") == b"#CRC:00000000\r\n"
    assert sealed(SET) == SET + b"#CRC:%08x\r\n" % crc32(SET)
    assert sealed(SET, crc32(SELECT_0)) == SET + b"#CRC:%08x\r\n" % crc32(SELECT_0 + SET)


def test_many_units_are_encoded_as_one_by_one() -> None:
    units = [
        [(0, COMMAND)],
        [(0, [b"DEL", b"x" * 1000])],
        [(0, COMMAND), (0, COMMAND)],
        [(3, COMMAND)],
        [(3, [b"SET", b"", bytearray(b"changed in place")])],
        [(3, [b"PING"] * 12)],
    ]
    at_once, one_by_one = CommandWriter(), CommandWriter()
    assert at_once.encode_all(units) == b"".join(map(one_by_one.encode, units))
    assert at_once.database == one_by_one.database == 3


@twins.both("broker.formats.aof.writing", "broker.formats.aof._writing", attribute="unit_run", argument="run")
def test_a_run_ends_at_another_database(run: Callable[..., tuple[bytes, int]]) -> None:
    units = [[(0, COMMAND)], [(0, COMMAND)], [(1, COMMAND)], [(1, COMMAND), (1, COMMAND)], [(1, COMMAND), (2, COMMAND)]]
    transaction = MULTI + SET + SET + EXEC
    assert run(units, 0, 0) == (SET + SET, 2)
    assert run(units, 2, 0) == (b"", 2)
    assert run(units, 2, 1) == (SET + transaction, 4)
    assert run(units, 3, 1) == (transaction, 4)
    assert run(units, 4, 1) == (b"", 4)
    assert run(units, 5, 1) == (b"", 5)
    assert run(units, 0, None) == (b"", 0)


COMMANDS = st.lists(st.binary(max_size=300), min_size=1, max_size=12)


@given(st.lists(st.lists(COMMANDS, min_size=1, max_size=4), max_size=20))
def test_runs_are_what_clients_would_send(transactions: list[list[list[bytes]]]) -> None:
    expected = b""
    for commands in transactions:
        sent = commands if len(commands) == 1 else [[b"MULTI"], *commands, [b"EXEC"]]
        expected += b"".join(map(encode, sent))
    units = [[(5, command) for command in commands] for commands in transactions]
    for encoder in (aof_writing.unit_run, PURE.unit_run):
        assert encoder(units, 0, 5) == (expected, len(units))
