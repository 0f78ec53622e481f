"""Events that name the fields of a hash (subkey events), beside redis-server's."""

import pytest

from tests.oracle.harness import pair, requires

CHANGES = (
    "HSET h a 1 b 2",
    "HSET h a 3",
    "HMSET h a 4 c 5",
    "HSETNX h a 1",
    "HSETNX h d 1",
    "HINCRBY h n 2",
    "HINCRBYFLOAT h f 1.5",
    "HEXPIRE h 1000 FIELDS 3 a b nosuch",
    "HPERSIST h FIELDS 2 a c",
    "HEXPIREAT h 1 FIELDS 1 a",
    "HSETEX h EX 1000 FIELDS 2 a 1 x 2",
    "HSETEX h PXAT 1 FIELDS 1 y 2",
    "HGETEX h EX 2000 FIELDS 2 a nosuch",
    "HGETEX h PERSIST FIELDS 2 a x",
    "HGETDEL h FIELDS 2 x nosuch",
    "HDEL h b nosuch c",
    "HDEL h d n f",
    "HSET h,1:x 1:a,b 1",
    'HSET "line\\nbreak" a 1',
    "SET s 1",
)


@requires("8.10")
@pytest.mark.parametrize("letters", ["ThK", "SAE", "IVh", "KEASTIV", "STIV", "Sg"])
def test_events_with_fields(letters: str) -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        writer, listener = p.client(), p.client(3)
        writer.do(f"CONFIG SET notify-keyspace-events {letters}")
        writer.do("CONFIG GET notify-keyspace-events")
        listener.do("PSUBSCRIBE __*")
        for change in CHANGES:
            writer.do(change)
        # Subscribing is answered behind all events of the changes.
        listener.send("SUBSCRIBE end")
        heard = listener.drain()
        assert (b"__subkey" in heard) == ("h" in letters or "A" in letters), heard
