"""consumers.partitions: their names, the hash of keys, and the one number that a stream has."""

import pytest

from consumers.errors import ConsumerError
from consumers.partitions import agree, members_key, partition_of, partition_stream, partition_streams
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
