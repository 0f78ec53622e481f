"""consumers.partitions: their names, the hash of keys, and the one number that a stream has."""

import pytest

from consumers.errors import ConsumerError
from consumers.partitions import (
    agree,
    members_key,
    number_in,
    partition_in,
    partition_of,
    partition_stream,
    partition_streams,
    record_dead_letters,
    stored_partitions,
)
from tests.consumers.streams.running import Client

pytestmark = pytest.mark.both_loops


def test_the_hash_is_that_of_a_clusters_slots_and_stays_as_it_is() -> None:
    # the check value of CRC-16/XMODEM; programs in other languages rely on it
    assert partition_of("123456789", 1 << 16) == 0x31C3
    assert partition_of(b"ann", 16) == partition_of("ann", 16)
    assert partition_of(17, 16) == partition_of("17", 16)
    assert {partition_of(f"customer {n}", 16) for n in range(200)} == set(range(16))


@pytest.mark.parametrize("key", [1.5, None, True])
def test_other_keys_are_refused(key: object) -> None:
    with pytest.raises(TypeError, match="a key is str, bytes or int"):
        partition_of(key, 16)  # type: ignore[arg-type]


def test_names() -> None:
    assert partition_stream("orders", 3) == "orders:{3}"
    assert partition_streams("orders", 2) == ("orders:{0}", "orders:{1}")
    assert members_key("orders", "billing") == "orders:partitions:billing"


@pytest.mark.parametrize(("stream", "partitions"), [("orders", 0), ("orders", 1025), ("{a}orders", 4)])
def test_what_can_not_have_partitions(stream: str, partitions: int) -> None:
    with pytest.raises(ValueError, match="partitions"):
        partition_streams(stream, partitions)


async def test_the_first_number_stays(client: Client) -> None:
    await agree(client, "orders", 4)
    await agree(client, "orders", 4)
    with pytest.raises(ConsumerError, match="orders has 4 partitions, not 8"):
        await agree(client, "orders", 8)


async def test_something_else_in_the_place_of_the_number(client: Client) -> None:
    await client.set("orders:partitions", "many")
    with pytest.raises(ConsumerError, match="orders:partitions holds no number of partitions: b'many'"):
        await agree(client, "orders", 4)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("orders:{3}", ("orders", 3)), ("a:b:{1023}", ("a:b", 1023)), (":{0}", ("", 0)),
        ("two\nlines:{1}", ("two\nlines", 1)), ("orders:{03}", None), ("orders:{-1}", None), ("orders:{10000}", None),
        ("{a}b:{1}", None), ("orders:{1}:x", None), ("orders{1}", None), ("orders:{\u0663}", None),
    ],
)  # fmt: skip
def test_a_partition_is_known_by_its_name(name: str, place: tuple[str, int] | None) -> None:
    assert partition_in(name) == place


@pytest.mark.parametrize(
    ("stored", "number"),
    [(b"1", 1), ("16", 16), (b"1024", 1024), (b"1025", None), (b"0", None), (b"01", None), (b"", None), (None, None),
     (b"+5", None), ("\u0663", None), (b"\xb2", None), (b"33333", None)],
)  # fmt: skip
def test_only_a_number_that_can_be_one_counts(stored: bytes | str | None, number: int | None) -> None:
    assert number_in(stored) == number


async def test_the_largest_number_of_dead_letter_streams_counts(client: Client) -> None:
    for number, counts in ((4, 4), (2, 4), (8, 8)):
        await record_dead_letters(client, "dead", number)
        assert await stored_partitions(client, "dead") == counts
    await client.set("dead:partitions", "many")
    with pytest.raises(ConsumerError):
        await record_dead_letters(client, "dead", 2)
