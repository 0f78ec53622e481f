"""Lists by index and by content."""

import pytest

from tests.broker.direct import Client, bulk, bulks
from tests.broker.sessions import make_broker


@pytest.fixture
def client() -> Client:
    client = Client(make_broker())
    client.do("RPUSH k a b c b")
    client.do("SET s x")
    return client


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("LINDEX k 0", bulk("a")),
        ("LINDEX k -1", bulk("b")),
        ("LINDEX k 4", b"$-1\r\n"),
        ("LINDEX no x", b"$-1\r\n"),
        ("LRANGE k 1 2", bulks("b", "c")),
        ("LRANGE k -2 99", bulks("c", "b")),
        ("LRANGE k 2 1", b"*0\r\n"),
        ("LRANGE k -99 -98", b"*0\r\n"),
        ("LPOS k b", b":1\r\n"),
        ("LPOS k b RANK -1", b":3\r\n"),
        ("LPOS k b COUNT 0", b"*2\r\n:1\r\n:3\r\n"),
        ("LPOS k b MAXLEN 1", b"$-1\r\n"),
        ("LPOS k no COUNT 1", b"*0\r\n"),
    ],
)
def test_reading(client: Client, command: str, reply: bytes) -> None:
    assert client.do(command) == reply


@pytest.mark.parametrize(
    ("command", "reply", "left"),
    [
        ("LSET k -1 x", b"+OK\r\n", ["a", "b", "c", "x"]),
        ("LTRIM k 1 -2", b"+OK\r\n", ["b", "c"]),
        ("LTRIM k 9 9", b"+OK\r\n", []),
        ("LINSERT k before b x", b":5\r\n", ["a", "x", "b", "c", "b"]),
        ("LINSERT k AFTER b x", b":5\r\n", ["a", "b", "x", "c", "b"]),
        ("LINSERT k AFTER no x", b":-1\r\n", ["a", "b", "c", "b"]),
        ("LREM k 0 b", b":2\r\n", ["a", "c"]),
        ("LREM k -1 b", b":1\r\n", ["a", "b", "c"]),
        ("LREM k 1 no", b":0\r\n", ["a", "b", "c", "b"]),
    ],
)
def test_changing(client: Client, command: str, reply: bytes, left: list[str]) -> None:
    assert client.do(command) == reply
    assert client.do("LRANGE k 0 -1") == bulks(*left)
    assert (b"k" in client.session.db.data) == bool(left)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("LINDEX k x", b"-ERR value is not an integer or out of range\r\n"),
        ("LRANGE no x 0", b"-ERR value is not an integer or out of range\r\n"),
        ("LTRIM k 0 x", b"-ERR value is not an integer or out of range\r\n"),
        ("LSET k 4 x", b"-ERR index out of range\r\n"),
        ("LSET k x x", b"-ERR value is not an integer or out of range\r\n"),
        ("LSET no x x", b"-ERR no such key\r\n"),
        ("LINSERT no BESIDE a x", b"-ERR syntax error\r\n"),
        (
            "LREM k -9223372036854775808 a",
            b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n",
        ),
        ("LPOS k a COUNT x", b"-ERR COUNT can't be negative\r\n"),
        ("LPOS k a MAXLEN -1", b"-ERR MAXLEN can't be negative\r\n"),
        ("LPOS k a RANK", b"-ERR syntax error\r\n"),
        (
            "LPOS k a RANK 0",
            b"-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
            b"or use negative to start from the end of the list\r\n",
        ),
        ("LPOS s a RANK 0", b"-ERR RANK can't be zero"),
        ("LPOS s a", b"-WRONGTYPE "),
        ("LSET s x x", b"-WRONGTYPE "),
        ("LRANGE s 0 x", b"-ERR value is not an integer"),
    ],
)
def test_errors_change_nothing(client: Client, command: str, error: bytes) -> None:
    assert client.do(command).startswith(error)
    assert client.do("LRANGE k 0 -1") == bulks("a", "b", "c", "b")


def test_reads_are_counted(client: Client) -> None:
    keyspace = client.broker.keyspace
    keyspace.hits = keyspace.misses = 0
    for command in ("LINDEX k 0", "LRANGE k 0 0", "LPOS k a", "LLEN k", "SORT k ALPHA"):
        client.do(command)
        client.do(command.replace("k", "no", 1))
    assert (keyspace.hits, keyspace.misses) == (5, 5)
    for command in ("LSET k 0 a", "LTRIM k 0 -1", "LREM no 0 a", "LINSERT no AFTER a b", "LPOP no", "RPUSH k a"):
        client.do(command)
    assert (keyspace.hits, keyspace.misses) == (5, 5)
