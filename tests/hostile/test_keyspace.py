"""Calls on values whose cost a number, a float or a pattern could raise without bound: each is answered soon, in little
memory, and the next client is served.

Texts of errors are Redis 8.10's, except where Redis would answer with more than can be held (MAX_DRAWS).
"""

import re
from pathlib import Path

import pytest

from broker.commands.random_picks import MAX_DRAWS
from tests.oracle.servers import Server
from tests.oracle.wire import SILENT, Connection, encode, parse, split

OUT_OF_RANGE = b"-ERR value is out of range\r\n"
COUNT_RANGE = b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n"
NOT_INTEGER = b"-ERR value is not an integer or out of range\r\n"
NOT_FLOAT = b"-ERR value is not a valid float\r\n"
EMPTY = b"*0\r\n"
NIL = b"$-1\r\n"

GROWTH_KB = 60_000
"""What a module's worth of these calls may leave the broker's peak memory grown by, beside its own values."""

MAX = "9223372036854775807"
MIN = "-9223372036854775808"
EDGES = [MAX, MIN, "9223372036854775806", "-9223372036854775807", "-4611686018427387904", "4294967296", "2147483648"]

VALUES = """
RPUSH l a b c
SADD t a b c
HSET h f v g w
ZADD z 1 a 2 b 3 c
SET s abc
XADD x 1-1 f v
XADD x 2-1 f v
GEOADD g 13.361389 38.115556 a 15.087269 37.502669 b
"""


def peak_kb(process: Server) -> int:
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) if status.exists() else 0


@pytest.fixture
def client(process: Server, connection: Connection) -> Connection:
    """A client of a broker with one small value of each type; the test must not make the broker's memory grow."""
    assert connection.call("FLUSHALL") == b"+OK\r\n"
    for line in VALUES.strip().split("\n"):
        assert not connection.call(*split(line)).startswith(b"-")
    return connection


@pytest.fixture(autouse=True)
def _memory_stays(process: Server, client: Connection) -> object:
    before = peak_kb(process)
    yield
    assert peak_kb(process) - before < GROWTH_KB


def asked(client: Connection, command: str) -> bytes:
    reply = client.call(*split(command))
    assert reply != SILENT and b"internal error" not in reply, command
    return reply


def texts(reply: bytes) -> list[bytes]:
    return [item.text for item in parse(reply).items]


# Strings, and bits in them


@pytest.mark.parametrize("offset", [MAX, "9223372036854775806", "536870912", "4294967296"])
def test_a_string_is_not_grown_past_the_limit(client: Connection, offset: str) -> None:
    too_long = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
    assert asked(client, f"SETRANGE s {offset} x") == too_long
    assert asked(client, f"SETRANGE none {offset} x") == too_long
    assert asked(client, f"SETRANGE none {offset} ''") == b":0\r\n"
    assert asked(client, "EXISTS none") == b":0\r\n"
    assert asked(client, "GET s") == b"$3\r\nabc\r\n"


@pytest.mark.parametrize("offset", ["-1", MIN])
def test_a_string_has_no_place_before_its_first(client: Connection, offset: str) -> None:
    assert asked(client, f"SETRANGE s {offset} x") == b"-ERR offset is out of range\r\n"
    for command in ("SETBIT s {} 1", "GETBIT s {}", "BITFIELD s GET u8 {}", "BITFIELD s SET u8 #{} 1"):
        assert asked(client, command.format(offset)) == b"-ERR bit offset is not an integer or out of range\r\n"


@pytest.mark.parametrize("offset", [MAX, "9223372036854775808", "4294967296"])
def test_bits_past_the_limit(client: Connection, offset: str) -> None:
    error = b"-ERR bit offset is not an integer or out of range\r\n"
    for command in ("SETBIT s {} 1", "GETBIT s {}", "BITFIELD s SET u8 {} 1", "BITFIELD s INCRBY i64 #{} 1"):
        assert asked(client, command.format(offset)) == error
    assert asked(client, "BITFIELD_RO s GET u8 4294967295") == b"*1\r\n:0\r\n"
    assert asked(client, "STRLEN s") == b":3\r\n"


@pytest.mark.parametrize("edge", EDGES)
def test_ranges_of_any_size(client: Connection, edge: str) -> None:
    for command in ("BITCOUNT s {0} {0}", "BITCOUNT s 0 {0} BIT", "BITPOS s 1 {0} {0}", "BITPOS s 0 0 {0} BIT",
                    "GETRANGE s 0 {0}", "GETRANGE s {0} -1", "LRANGE l {0} -1", "LRANGE l 0 {0}", "LINDEX l {0}",
                    "ZRANGE z {0} -1", "ZRANGE z 0 {0}", "ZRANGE z 0 9 BYSCORE LIMIT {0} {0}",
                    "ZRANGE z - + BYLEX LIMIT 0 {0}", "SORT l ALPHA LIMIT {0} {0}",
                    "SORT l ALPHA LIMIT 0 {0}"):  # fmt: skip
        assert not asked(client, command.format(edge)).startswith(b"-"), command


def test_long_strings_have_no_common_subsequence(client: Connection) -> None:
    """Refused by their lengths, before anything is made of their bytes."""
    error = b"-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n"
    megabyte = b"x" * (1 << 20)
    client.call("SET", "long", megabyte)
    client.call("SET", "longer", megabyte)
    for options in ("", "LEN", "IDX", "IDX MINMATCHLEN 9223372036854775807 WITHMATCHLEN"):
        assert asked(client, f"LCS long longer {options}") == error
    assert asked(client, "LCS long none LEN") == b":0\r\n"
    assert asked(client, "LCS long s IDX MINMATCHLEN x") == NOT_INTEGER


# Random picks


PICKS = ["SRANDMEMBER t", "HRANDFIELD h", "HRANDFIELD h WITHVALUES", "ZRANDMEMBER z", "ZRANDMEMBER z WITHSCORES"]


def pick(command: str, count: str | int, name: str | None = None) -> str:
    words = command.split()
    return " ".join([words[0], name or words[1], str(count), *words[2:]])


@pytest.mark.parametrize("command", PICKS)
def test_negative_counts(client: Connection, command: str) -> None:
    """Redis sends as many as are asked for, up to 2^63 - 1, until its memory ends; here their number has a bound."""
    assert asked(client, pick(command, MIN)) == COUNT_RANGE
    assert asked(client, pick(command, MIN, "none")) == COUNT_RANGE
    halves = command.count(" ") == 2
    for count in ("-9223372036854775807", "-4611686018427387904"):
        assert asked(client, pick(command, count)) == OUT_OF_RANGE
        assert asked(client, pick(command, count, "none")) == (OUT_OF_RANGE if halves else EMPTY)
    for count in ("-4611686018427387903", "-4294967296", f"-{MAX_DRAWS + 1}"):
        assert asked(client, pick(command, count)) == OUT_OF_RANGE
        assert asked(client, pick(command, count, "none")) == EMPTY
    assert len(texts(asked(client, pick(command, -1000)))) == (2000 if halves else 1000)


@pytest.mark.parametrize("command", PICKS)
def test_positive_counts(client: Connection, command: str) -> None:
    everything = asked(client, pick(command, 10))
    for count in ("2147483648", "4611686018427387903"):
        assert sorted(texts(asked(client, pick(command, count)))) == sorted(texts(everything))
    pops = [("SPOP t", 3), ("ZPOPMIN z", 6), ("LPOP l", 3)]
    for pop, size in pops:
        assert len(texts(asked(client, f"{pop} {MAX}"))) == size
        assert asked(client, f"{pop} {MIN}").startswith(b"-ERR value is out of range, must be positive")


# Counts


@pytest.mark.parametrize("count", [MAX, "9223372036854775806", "4294967297", "2147483648"])
def test_counts_of_any_size(client: Connection, count: str) -> None:
    found = {
        "SCAN 0 COUNT {}": 7, "SCAN 0 TYPE set COUNT {}": 1, "SCAN 0 MATCH none* COUNT {}": 0, "HSCAN h 0 COUNT {}": 4,
        "SSCAN t 0 COUNT {}": 3, "ZSCAN z 0 COUNT {}": 6,
    }  # fmt: skip
    for command, size in found.items():
        cursor, elements = parse(asked(client, command.format(count))).items
        assert cursor.text == b"0" and len(elements.items) == size, command
    found = {
        "LPOS l a COUNT {}": 1, "XRANGE x - + COUNT {}": 2, "XREVRANGE x + - COUNT {}": 2,
        "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km COUNT {}": 2,
        "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km COUNT {} ANY": 2,
    }  # fmt: skip
    for command, size in found.items():
        assert len(parse(asked(client, command.format(count))).items) == size, command
    assert asked(client, f"LPOS l a RANK {count}") == NIL
    assert asked(client, f"XREAD COUNT {count} STREAMS x 0").count(b"-1\r\n") == 2
    assert asked(client, f"XTRIM x MAXLEN {count}") == b":0\r\n"


@pytest.mark.parametrize("cursor", ["18446744073709551615", MAX, "4294967296", "99"])
def test_cursors_of_nobody(client: Connection, cursor: str) -> None:
    for command in ("SCAN {}", "HSCAN h {}", "SSCAN t {}", "ZSCAN z {}", "SCAN {} COUNT 1 MATCH zzz"):
        assert asked(client, command.format(cursor)).startswith(b"*2\r\n"), command
    assert asked(client, "SCAN 18446744073709551616") == b"-ERR invalid cursor\r\n"


@pytest.mark.parametrize("count", ["-1", "0", MIN])
def test_counts_below_one(client: Connection, count: str) -> None:
    for command in ("SCAN 0 COUNT {}", "HSCAN h 0 COUNT {}", "SSCAN t 0 COUNT {}", "ZSCAN z 0 COUNT {}"):
        assert asked(client, command.format(count)) == b"-ERR syntax error\r\n"
    for command in ("XRANGE x - + COUNT {}", "XREVRANGE x + - COUNT {}"):
        assert asked(client, command.format(count)) in (EMPTY, b"*-1\r\n")


@pytest.mark.parametrize("number", [*EDGES, "0", "-1", "4", "18446744073709551616", "x", "1.5", ""])
def test_numbers_of_keys(client: Connection, number: str) -> None:
    """No list is made for keys that the call does not hold."""
    shown = number or "''"
    for command in ("ZUNIONSTORE d {} z z", "ZINTERSTORE d {} z z", "ZDIFFSTORE d {} z z", "ZUNION {} z z",
                    "ZINTER {} z z", "ZDIFF {} z z", "ZINTERCARD {} z z", "SINTERCARD {} t t", "LMPOP {} l LEFT",
                    "ZMPOP {} z MIN", "BLMPOP 0.01 {} l LEFT", "BZMPOP 0.01 {} z MIN",
                    "MSETEX {} a b"):  # fmt: skip
        assert asked(client, command.format(shown)).startswith(b"-ERR "), command
    assert asked(client, f"ZUNIONSTORE d {MAX} z z") == b"-ERR syntax error\r\n"
    assert asked(client, "EXISTS d a") == b":0\r\n"


# Floats


NOT_FLOATS = ["nan", "NaN", "-nan", "nan(123)", "'1 '", "1_0", ".", "-", "e5", "1e", "0x", "1" * 300 + "x"]


@pytest.mark.parametrize("text", NOT_FLOATS)
def test_what_is_no_float(client: Connection, text: str) -> None:
    expected = {
        "ZADD z {} m": NOT_FLOAT,
        "ZADD z INCR {} m": NOT_FLOAT,
        "ZINCRBY z {} a": NOT_FLOAT,
        "INCRBYFLOAT n {}": NOT_FLOAT,
        "HINCRBYFLOAT h n {}": NOT_FLOAT,
        "ZUNIONSTORE d 1 z WEIGHTS {}": b"-ERR weight value is not a float\r\n",
        "ZUNION 1 z WEIGHTS {}": b"-ERR weight value is not a float\r\n",
        "ZCOUNT z {} 1": b"-ERR min or max is not a float\r\n",
        "ZRANGE z ({} 1 BYSCORE": b"-ERR min or max is not a float\r\n",
        "ZREMRANGEBYSCORE z 0 {}": b"-ERR min or max is not a float\r\n",
        "GEOADD g {} 1 m": NOT_FLOAT,
        "GEOADD g 1 {} m": NOT_FLOAT,
        "GEOSEARCH g FROMLONLAT {} 1 BYRADIUS 1 km": NOT_FLOAT,
        "GEOSEARCH g FROMLONLAT 1 1 BYRADIUS {} km": b"-ERR need numeric radius\r\n",
        "GEOSEARCH g FROMLONLAT 1 1 BYBOX {} 1 km": b"-ERR need numeric width\r\n",
        "BLPOP none {}": b"-ERR timeout is not a float or out of range\r\n",
        "BZMPOP {} 1 none MIN": b"-ERR timeout is not a float or out of range\r\n",
    }
    for command, error in expected.items():
        assert asked(client, command.format(text)) == error, command
    assert asked(client, "ZRANGE z 0 -1") == b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"
    assert asked(client, "EXISTS n d") == b":0\r\n"


def test_infinities(client: Connection) -> None:
    nan = b"-ERR resulting score is not a number (NaN)\r\n"
    assert asked(client, "ZADD z inf up -inf down") == b":2\r\n"
    assert asked(client, "ZINCRBY z -inf up") == nan
    assert asked(client, "ZADD z INCR inf down") == nan
    # a sum or product that is not a number counts as 0
    assert asked(client, "ZUNIONSTORE d 2 z z WEIGHTS 1 -1") == b":5\r\n"
    assert asked(client, "ZSCORE d up") == asked(client, "ZSCORE d down") == b"$1\r\n0\r\n"
    assert asked(client, "ZUNIONSTORE d 1 z WEIGHTS 0") == b":5\r\n"
    assert asked(client, "ZSCORE d up") == b"$1\r\n0\r\n"
    for command in ("INCRBYFLOAT n {}", "HINCRBYFLOAT h n {}"):
        for infinity in ("inf", "-inf", "+Infinity", "1e5000"):
            assert asked(client, command.format(infinity)).startswith(b"-ERR "), infinity
    assert asked(client, "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1e308 km ASC").startswith(b"*2\r\n")
    assert asked(client, "EXISTS n") == b":0\r\n"


@pytest.mark.parametrize("place", ["180 85.05112878", "-180 -85.05112878", "180 -85.05112878", "0 0"])
def test_edges_of_the_earth(client: Connection, place: str) -> None:
    assert asked(client, f"GEOADD g {place} edge") == b":1\r\n"
    assert len(parse(asked(client, "GEOPOS g edge")).items[0].items) == 2
    for shape in ("BYRADIUS 0 m", "BYRADIUS 1e-300 m", "BYRADIUS 40000 km", "BYRADIUS 1e300 km", "BYBOX 0 0 m",
                  "BYBOX 1e300 1e300 km", "BYBOX 40000 40000 km", "BYBOX 1e300 1e-300 m"):  # fmt: skip
        for center in ("FROMMEMBER edge", f"FROMLONLAT {place}"):
            assert asked(client, f"GEOSEARCH g {center} {shape} ASC WITHDIST").startswith(b"*"), (center, shape)
    assert asked(client, "GEOSEARCH g FROMMEMBER edge BYRADIUS 40000 km ASC").startswith(b"*3\r\n")


@pytest.mark.parametrize(
    "place", ["180.0000001 0", "0 85.05112879", "0 -85.05112879", "inf 0", "0 -inf", "1e308 1e308"]
)
def test_off_the_earth(client: Connection, place: str) -> None:
    for command in ("GEOADD g {} m", "GEOSEARCH g FROMLONLAT {} BYRADIUS 1 km", "GEORADIUS g {} 1 km"):
        assert asked(client, command.format(place)).startswith(b"-ERR invalid longitude,latitude pair "), command


# Patterns


BOMBS = {
    "stars": "a*" * 500 + "b",
    "more stars than are followed": "*a" * 5000,
    "classes": "*" + "[ab]" * 1000 + "c*",
    "any bytes": "*a" + "?" * 1000 + "c*",
    "almost": "*" + "a" * 5000 + "[bc]*",
    "open class": "*[" + "\\q" * 50_000,
    "negations": "*[^b]" * 500 + "c",
    "backslashes": "\\" * 100_000 + "*",
    "brackets": "[" * 100_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_patterns(process: Server, client: Connection, bomb: str) -> None:
    long = "a" * 100_000
    client.call("SET", long, "1")
    client.call("HSET", "h", long, "1")
    client.call("SADD", "t", long)
    client.call("ZADD", "z", "1", long)
    assert client.call("KEYS", bomb) == EMPTY
    for command in (["SCAN", "0"], ["HSCAN", "h", "0"], ["SSCAN", "t", "0"], ["ZSCAN", "z", "0"]):
        assert client.call(*command, "MATCH", bomb, "COUNT", "1000") == b"*2\r\n$1\r\n0\r\n*0\r\n"
    subscriber = process.connect()
    subscriber.call("PSUBSCRIBE", bomb)
    subscriber.call("SUBSCRIBE", long)
    assert client.call("PUBSUB", "CHANNELS", bomb) == EMPTY
    assert client.call("PUBLISH", long, "message") == b":1\r\n"
    subscriber.close()


def test_patterns_of_sort(client: Connection) -> None:
    """BY and GET hold one star that counts, and are no globs: any others are bytes of a name."""
    stars = "*" * 100_000
    assert client.call("SORT", "l", "BY", stars, "GET", stars, "ALPHA") == b"*3\r\n" + NIL * 3
    assert client.call("SORT", "l", "BY", "*->" * 30_000, "GET", "[" * 100_000 + "*") == b"*3\r\n" + NIL * 3
    many = [word for _ in range(10_000) for word in ("GET", "#")]
    assert client.call("SORT", "l", "BY", "nosort", *many).startswith(b"*30000\r\n")


def test_nothing_waits_meanwhile(process: Server, client: Connection) -> None:
    """All of it in one pipeline, while another client asks."""
    calls = [*(["KEYS", bomb] for bomb in BOMBS.values()), *(split(pick(command, -10_000)) for command in PICKS)]
    client.call("SET", "a" * 10_000, "1")
    client.send(b"".join(map(encode, calls)))
    other = process.connect()
    assert other.call("PING") == b"+PONG\r\n"
    other.close()
    for _ in calls:
        assert client.receive().startswith(b"*")
