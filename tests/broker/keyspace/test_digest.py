"""The digest of all data. Its values are compared with redis-server's in tests/oracle/test_server.py."""

import pytest

from broker.keyspace.digest import SIZE, of_databases, of_key, score_text
from tests.broker.inprocess import running


async def test_the_digest_tells_what_matters() -> None:
    async with running() as broker:
        client = await broker.client()
        databases = broker.broker.keyspace.databases
        seen = {of_databases(databases)}
        assert seen == {bytes(SIZE)}
        for command in ("SET k v", "SET k w", "EXPIRE k 100", "SELECT 1", "SET k w", "RPUSH l a b", "LPUSH l c"):
            await client.call(command)
            seen.add(of_databases(databases))
        assert len(seen) == 7  # SELECT changes no data


async def test_the_order_of_a_set_does_not_matter() -> None:
    async with running() as broker:
        client = await broker.client()
        database = broker.broker.keyspace.databases[0]
        for command in ("SADD a 1 2 3", "SADD b 3 1 2", "RPUSH c 1 2", "RPUSH d 2 1"):
            await client.call(command)
        assert of_key(database, b"a") == of_key(database, b"b")
        assert of_key(database, b"c") != of_key(database, b"d")
        assert of_key(database, b"missing") == bytes(SIZE)


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.0, b"0"), (-0.0, b"-0"), (1.0, b"1"), (12345678.0, b"12345678"), (1e7, b"10000000"), (1e8, b"1e+8"),
     (-1e17, b"-1e+17"), (1.5e12, b"1.5e+12"), (1e21, b"1e+21"), (0.1, b"0.1"), (float("inf"), b"inf")],
)  # fmt: skip
def test_scores(score: float, text: bytes) -> None:
    assert score_text(score) == text
