"""Reading an append-only file: every prefix, every flipped bit, any pieces."""

import io
import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.aof import reading as aof_reading
from broker.formats.aof.reading import CHUNK, CommandReader, Damaged, Place, Truncated
from broker.formats.aof.writing import CommandWriter, sealed
from protocol.replies import bulks
from tests.broker.persistence.aof_sample import Sample, sample

SELECT = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"


def opened(data: bytes, piece: int = 1 << 30) -> CommandReader:
    file = io.BytesIO(data)
    return CommandReader(lambda count: file.read(min(count, piece)), len(data))


def read(data: bytes, piece: int = 1 << 30) -> tuple[list[Place], CommandReader, Truncated | Damaged | None]:
    """What was delivered, the reader afterwards, and how it ended."""
    reader = opened(data, piece)
    found = []
    try:
        for place in reader:
            found.append(place)
    except (Truncated, Damaged) as error:
        return found, reader, error
    return found, reader, None


def commands(found: list[Place]) -> list[list[bytes]]:
    return [command for _, command in found]


@pytest.fixture(scope="module")
def made() -> Sample:
    return sample()


@pytest.fixture(params=[CHUNK, 100, 7])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(aof_reading, "CHUNK", request.param)
    size: int = request.param
    return size


def test_a_whole_file(made: Sample, chunk: int) -> None:
    found, reader, error = read(made.data)
    assert error is None
    assert commands(found) == [command for _, command in made.commands]
    assert [end for end, _ in found] == [
        len(made.data[:end]) for end, command in found if made.data[:end].endswith(bulks(command))
    ]
    assert reader.offset == reader.verified == len(made.data)
    assert (reader.checksum, reader.checksums, reader.seconds) == (0, 7, 1700000003)


def test_every_prefix_gives_the_longest_whole_one(made: Sample, chunk: int) -> None:
    for cut in range(len(made.data)):
        found, reader, error = read(made.data[:cut])
        whole = made.before(cut)
        # Of a transaction that is cut short, the commands may have been delivered, but never EXEC.
        expected = [command for end, command in made.commands if end <= whole]
        begun = commands(found)[len(expected) :]
        assert commands(found)[: len(expected)] == expected
        assert not begun or (begun[0] == [b"MULTI"] and [b"EXEC"] not in begun)
        if whole == cut:
            assert error is None
        else:
            assert isinstance(error, Truncated) and error.offset == whole, (cut, error)
        assert reader.offset == whole
        assert reader.checksum == made.uncovered(whole)


def test_a_file_goes_on_after_every_cut(made: Sample) -> None:
    for cut in range(0, len(made.data), 7):
        _, reader, _ = read(made.data[:cut])
        further = made.data[: reader.offset] + sealed(SELECT + SET, reader.checksum)
        found, again, error = read(further)
        assert error is None and again.verified == len(further)
        assert commands(found)[-2:] == [[b"SELECT", b"0"], [b"SET", b"a", b"1"]]


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def assert_found(made: Sample, bit: int) -> None:
    found, _, error = read(flipped(made.data, bit))
    assert isinstance(error, Damaged), (bit, error)
    assert error.whole <= bit // 8 and error.whole in made.ends
    assert commands(found) == [command for _, command in made.commands][: len(found)]


def test_every_flipped_bit_is_found(made: Sample) -> None:
    for bit in range(8 * len(made.data)):
        assert_found(made, bit)


def test_flipped_bits_are_found_across_chunks(made: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(4)
    for _ in range(500):
        monkeypatch.setattr(aof_reading, "CHUNK", chance.randrange(1, 300))
        data = flipped(made.data, chance.randrange(8 * len(made.data)))
        _, _, error = read(data)
        assert isinstance(error, Damaged)


@pytest.mark.parametrize(("length", "flip"), [(10, b"$90"), (13, b"$33"), (100, b"$900"), (99, b"$y9")])
def test_a_length_that_takes_in_what_follows_is_found(length: int, flip: bytes) -> None:
    """Also where it takes in the rest of the file to the byte, the last checksum line with it."""
    first = SELECT + bulks([b"SET", b"k", b"v" * length])
    header = b"$%d" % length
    beyond = int(flip[1:]) - length if flip[1:].isdigit() else 30
    rest = sealed(b"")
    padding = max(beyond - len(sealed(first)) + len(first) - len(rest) - len(bulks([b"SET", b"k", b""])) - 1, 1)
    second = sealed(bulks([b"SET", b"k", b"w" * padding]))
    for data in (sealed(first), sealed(first) + second, sealed(first) + second + rest):
        at = data.index(header + b"\r\n" + b"v" * length)
        _, _, error = read(data[:at] + flip + data[at + len(flip) :])
        assert isinstance(error, Damaged)
        assert error.whole <= at


def test_a_length_that_takes_in_the_end_to_the_byte_is_found() -> None:
    first = SELECT + bulks([b"SET", b"k", b"v" * 10])
    filler = 80 - len(b"\r\n#CRC:00000000\r\n") - len(bulks([b"SET", b"k", b"w" * 10])) - len(b"#CRC:00000000")
    data = sealed(first) + sealed(bulks([b"SET", b"k", b"w" * (10 + filler)]))
    changed = data.replace(b"$10\r\nv", b"$90\r\nv")
    assert len(bulks([b"SET", b"k", b"x" * 90])) + len(SELECT) == len(changed), "the test's own arithmetic"
    _, _, error = read(changed)
    assert isinstance(error, Damaged)
    assert (error.reason, error.whole) == ("a command extends over the last checksum", 0)


@pytest.mark.parametrize(
    ("bad", "reason", "offset"),
    [
        (b"SET a 1\r\n", "not a command", 0),
        (b"\r\n", "not a command", 0),
        (b"*0\r\n", "not a command", 0),
        (b"*-1\r\n", "not a command", 0),
        (b"*03\r\n", "not a command", 0),
        (b"*3\n", "not a command", 0),
        (b"$1\r\na\r\n", "not a command", 0),
        (bytes(100), "not a command", 0),
        (b"*1\r\n*1\r\n", "an argument without a valid length", 4),
        (b"*1\r\n$-1\r\n", "an argument without a valid length", 4),
        (b"*1\r\n$+1\r\na\r\n", "an argument without a valid length", 4),
        (b"*1\r\n$01\r\na\r\n", "an argument without a valid length", 4),
        (b"*2\r\n$1\r\na\r\n#CRC:00000000\r\n", "an argument without a valid length", 11),
        (b"*1\r\n$1\r\nab\r\n", "an argument's length is wrong", 9),
        (b"*1\r\n$1\r\na\r", None, 0),
        (b"*1\r\n$1\r\na\n", "an argument's length is wrong", 9),
        (b"*1\r\n$1\r\na\rx", "an argument's length is wrong", 9),
        (b"*1x", "not a command", 0),
        (b"*1\rx", "not a command", 0),
        (b"*12345678901", "not a command", 0),
        (b"*1\r\n$1x", "an argument without a valid length", 4),
        (b"*1\r\n$1234567890123456789", "an argument without a valid length", 4),
        (b"#\r\n", "unknown annotation", 0),
        (b"#TS:\r\n", "unknown annotation", 0),
        (b"#TS:12\n", "unknown annotation", 0),
        (b"#TS:1 2\r\n", "unknown annotation", 0),
        (b"#TS:'12'\r\n", "unknown annotation", 0),
        (b"#XX:00000000\r\n", "unknown annotation", 0),
        (b"#ts:12\r\n", "unknown annotation", 0),
        (b"#TX", "unknown annotation", 0),
        (b"#CRC:0000000g\r\n", "wrong checksum", 0),
        (b"#CRC:00000000\n", "unknown annotation", 0),
        (b"#CRC:00000000\r", None, 0),
        (b"#" + bytes(100000), "unknown annotation", 0),
        (b"#CRC:00000000\r\n", "wrong checksum", 0),
        (b"*1\r\n$6\r\n#TS:12\r\n", "not a command", 0),
        (EXEC, "EXEC without MULTI", 0),
        (MULTI + SET + b"*1\r\n$5\r\nmulti\r\n", "MULTI within MULTI", 42),
    ],
)
@pytest.mark.parametrize("after", [b"", SET, sealed(SET)])
def test_what_is_no_beginning_of_anything_is_damage(bad: bytes, reason: str | None, offset: int, after: bytes) -> None:
    before = SELECT + SET
    found, _, error = read(before + bad + after)
    if reason is None:
        # A cut, where nothing comes after.
        assert isinstance(error, Damaged if after else Truncated)
        return
    assert isinstance(error, Damaged)
    assert (error.reason, error.offset) == (reason, len(before) + offset)
    assert str(error) == f"{reason} at byte {len(before) + offset}"
    if b"#CRC:" in bad + after:
        assert (found, error.whole) == ([], 0)
    else:
        assert commands(found)[:2] == [[b"SELECT", b"0"], [b"SET", b"a", b"1"]]
        assert error.whole == len(before)


def test_damage_within_a_transaction_reaches_back_to_its_beginning() -> None:
    found, _, error = read(SELECT + MULTI + SET + b"junk")
    assert isinstance(error, Damaged)
    assert (error.offset, error.whole) == (len(SELECT + MULTI + SET), len(SELECT))
    assert commands(found)[-1] == [b"SET", b"a", b"1"]


def test_a_wrong_checksum_takes_back_its_batch() -> None:
    data = sealed(SELECT) + SET + SET + b"#CRC:12345678\r\n" + sealed(SET)
    found, _, error = read(data)
    assert commands(found) == [[b"SELECT", b"0"]]
    assert isinstance(error, Damaged)
    assert (error.offset, error.whole) == (data.index(b"#CRC:12345678"), len(sealed(SELECT)))


def test_uppercase_checksums_are_none() -> None:
    checksum = b"%08x" % crc32(SELECT)
    assert checksum != checksum.upper()
    _, _, error = read(SELECT + b"#CRC:" + checksum.upper() + b"\r\n")
    assert isinstance(error, Damaged)


def test_files_of_redis_server_have_no_checksums() -> None:
    data = b"#TS:1700000000\r\n" + SELECT + MULTI + SET + b"#TS:1700000001\r\n" + SET + EXEC
    found, reader, error = read(data)
    assert error is None
    assert commands(found)[1:] == [[b"MULTI"], [b"SET", b"a", b"1"], [b"SET", b"a", b"1"], [b"EXEC"]]
    assert (reader.offset, reader.verified, reader.checksums) == (len(data), 0, 0)
    assert reader.checksum == crc32(data)
    again = data + sealed(SET, reader.checksum)
    _, reader, error = read(again)
    assert error is None and reader.verified == len(again)


def test_transactions_of_older_versions_are_in_any_case() -> None:
    data = SELECT + MULTI.lower() + SET + EXEC.replace(b"EXEC", b"eXec")
    _, reader, error = read(data)
    assert error is None and reader.offset == len(data)
    _, reader, error = read(data[:-1])
    assert isinstance(error, Truncated) and error.offset == len(SELECT)


def test_a_transaction_is_followed_across_checksum_lines() -> None:
    data = sealed(SELECT) + SET + MULTI + SET + sealed(b"", crc32(SET + MULTI + SET)) + SET
    _, reader, error = read(data)
    begin = len(sealed(SELECT) + SET)
    assert isinstance(error, Truncated) and error.offset == reader.offset == begin
    assert reader.checksum == crc32(SET)
    assert read(data + EXEC)[2] is None


def test_a_file_that_ends_with_a_text_like_a_checksum_line_is_taken_for_damaged() -> None:
    """The price of finding a length that takes in the last line: a cut exactly behind such a text within a value."""
    data = SELECT + bulks([b"SET", b"k", b"\r\n#CRC:01234567\r\nand more"])
    assert read(data)[2] is None
    cut = data.index(b"and more")
    assert isinstance(read(data[:cut])[2], Damaged)
    assert isinstance(read(data[: cut - 1])[2], Truncated)
    assert isinstance(read(data[: cut + 1])[2], Truncated)


def test_a_length_beyond_the_file_takes_no_memory() -> None:
    asked = []
    data = io.BytesIO(SELECT + b"*1\r\n$99999999999999\r\n" + bytes(CHUNK * 20))

    def source(count: int) -> bytes:
        asked.append(count)
        return data.read(count)

    with pytest.raises(Truncated) as raised:
        list(CommandReader(source, len(data.getvalue())))
    assert raised.value.offset == len(SELECT)
    assert max(asked) == CHUNK


def test_long_commands_are_read_in_linear_time() -> None:
    data = SELECT + bulks([b"RPUSH", b"k", *[b"element"] * 100_000]) + bulks([b"SET", b"k", bytes(5_000_000)])
    found, _, error = read(data, piece=1 << 16)
    assert error is None and [len(command) for command in commands(found)] == [2, 100_002, 3]
    assert isinstance(read(data[:-1], piece=1 << 16)[2], Truncated)


def test_what_a_file_gains_while_it_is_read_is_left_alone() -> None:
    reader = CommandReader(io.BytesIO(SELECT + SET).read, len(SELECT))
    assert commands(list(reader)) == [[b"SELECT", b"0"]]
    reader = CommandReader(io.BytesIO(SELECT).read, len(SELECT + SET))
    assert commands(list(reader)) == [[b"SELECT", b"0"]]
    assert reader.offset == len(SELECT)


def test_reading_may_begin_within_a_file() -> None:
    data = b"REDIS..." + SELECT + sealed(SET, crc32(SELECT))
    file = io.BytesIO(data)
    file.seek(8)
    reader = CommandReader(file.read, len(data), 8)
    assert [end for end, _ in reader] == [8 + len(SELECT), 8 + len(SELECT + SET)]
    assert reader.offset == reader.verified == len(data)


def test_only_a_single_word_is_an_annotation() -> None:
    request = [b"#TS:1700000000", b"x"]
    found, _, error = read(SELECT + bulks(request) + SET)
    assert error is None
    assert commands(found) == [[b"SELECT", b"0"], request, [b"SET", b"a", b"1"]]


def test_an_empty_file() -> None:
    found, reader, error = read(b"")
    assert (found, reader.offset, error) == ([], 0, None)


UNITS = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.lists(
                st.one_of(st.binary(max_size=20), st.sampled_from([b"\r\n#CRC:0123", b"a" * 200])),
                min_size=2,
                max_size=12,
            ),
        ),
        min_size=1,
        max_size=3,
    ),
    max_size=8,
)


@given(batches=st.lists(UNITS, max_size=5), piece=st.integers(1, 200), size=st.integers(1, 400))
def test_what_is_written_is_read_in_any_pieces(
    batches: list[list[list[tuple[int, list[bytes]]]]], piece: int, size: int
) -> None:
    writer, data = CommandWriter(), b""
    for batch in batches:
        data += sealed(b"".join(writer.encode(unit) for unit in batch))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aof_reading, "CHUNK", size)
        found, reader, error = read(data, piece)
    assert error is None and reader.offset == len(data)
    brackets = ([b"MULTI"], [b"EXEC"])
    told = [command for command in commands(found) if command[0] != b"SELECT" and command not in brackets]
    given = [command for batch in batches for unit in batch for _, command in unit if command[0] != b"SELECT"]
    assert told == given
    at = 0
    for end, command in found:
        assert data[at:end].endswith(bulks(command))
        at = end


@given(data=st.binary(max_size=200), cut=st.integers(0, 100))
def test_no_bytes_make_another_error(data: bytes, cut: int) -> None:
    read(SELECT + SET[:cut] + data)


def test_the_sample_has_every_family(made: Sample) -> None:
    assert 3000 < len(made.data) < 6000
    names = {command[0] for _, command in made.commands}
    assert names >= {b"SET", b"SETBIT", b"PFADD", b"GEOADD", b"RPUSH", b"SADD", b"HSET", b"ZADD", b"XADD", b"FUNCTION"}
