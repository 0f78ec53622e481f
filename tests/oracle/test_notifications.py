"""Keyspace events beside redis-server: which events each command sends, in which order, on which channels."""

import time
from collections.abc import Sequence

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle.harness import AnyCommand, Masked, Pair, Shape, examples, pair, requires, same, stream_ids

pytestmark = requires("8.4")

OFF = ["CONFIG SET notify-keyspace-events ''", "DEBUG SET-ACTIVE-EXPIRE 1"]
EVERYTHING = "KEAmnoc"


def events(script: Sequence[AnyCommand], classes: str = EVERYTHING, wait: float = 0) -> bytes:
    """Run a script on both servers, compare its replies and its events; the events as the reference sent them."""
    with pair(cleanup=OFF) as p:
        return _listen(p, script, classes, wait)


def _listen(p: Pair, script: Sequence[AnyCommand], classes: str, wait: float = 0) -> bytes:
    listener, client = p.client(2), p.client(3)
    listener.do("PSUBSCRIBE __key*@*__:*")
    client.do(["CONFIG", "SET", "notify-keyspace-events", classes])
    heard = b""
    for command in script:
        client.do(command)
        if wait:
            time.sleep(wait)
        heard += listener.drain()
    return heard


def test_channels_and_payloads() -> None:
    heard = events(["SELECT 3", "SET k v"], "KE$")
    assert b"__keyspace@3__:k" in heard and b"__keyevent@3__:set" in heard
    assert heard.index(b"__keyspace@3__:k") < heard.index(b"__keyevent@3__:set")
    events([["SET", b"any\r\n\x00bytes", "v"], ["SET", b"", "v"]], "KE$")


@pytest.mark.parametrize(
    "classes",
    ["", "K", "E", "A", "KE", "KA", "EA", "K$", "E$", "Kl", "KEg", "KElshzxet", "KEn", "KEo", "KEc", "KEm", "KEd"],
)
def test_classes_choose(classes: str) -> None:
    script: list[AnyCommand] = [
        "SET k v", "SET k v2", "DEL k", "LPUSH k a", "SET k v", "GET nothing", "SADD s a", "HSET h f v", "ZADD z 1 a",
        Masked("XADD x * f v", stream_ids), "RENAME k j",
    ]  # fmt: skip
    heard = events(script, classes)
    assert bool(heard) == (set(classes) > {"K"} or set(classes) > {"E"}) or classes in {"KE", "KEd"}


def test_the_directive() -> None:
    same(
        [
            command
            for classes in (
                "",
                "KEA",
                "AKE",
                "g$lshzxetdE",
                "Kg",
                "KEmnoc",
                "zK$",
                "KK",
                "Ex",
                "q",
                "KEq",
                "KEAa",
                "KEAr",
            )
            for command in (["CONFIG", "SET", "notify-keyspace-events", classes], "CONFIG GET notify-keyspace-events")
        ],
        cleanup=OFF,
    )


FAMILIES = {
    "strings": """
        SET a 1; SET a 2; SET a 3 EX 100; SET a 4 KEEPTTL; SET b 1 NX; SET b 2 NX; SET b 2 XX GET; SETNX c 1;
        SETNX c 1; SETEX d 100 v; PSETEX d 100000 v; GETSET a 5; GETSET new 5; APPEND a x; APPEND fresh x;
        SETRANGE a 3 yy; SETRANGE range 2 x; SETRANGE nothing 0 ''; INCR n; INCRBY n 5; DECR n; DECRBY n 2;
        INCRBYFLOAT n 1.5; MSET a 1 z 2; MSETNX m1 1 m2 2; MSETNX m1 1 m3 2; GETDEL m1; GETDEL nothing; GETEX m2;
        GETEX m2 EX 100; GETEX m2 PERSIST; GETEX m2 PERSIST; GETEX m2 EXAT 1; GET a; GET nothing; MGET a nothing;
        STRLEN nothing; GETRANGE nothing 0 1
    """,
    "newer strings": """
        SET a 1; SET a 2 IFEQ 1; SET a 3 IFEQ 1; DELEX a IFEQ nope; DELEX a IFEQ 2; DELEX a;
        MSETEX 2 a 1 b 2 EX 100; MSETEX 1 a 1 NX; MSETEX 2 a 3 c 4 KEEPTTL
    """,
    "generic": """
        SET a 1; SET b 2; DEL a b nothing; SET a 1; UNLINK a nothing; SET a 1; RENAME a b; RENAME b b; SET a 1;
        RENAME a b; RENAMENX b c; RENAMENX c c; SET d 1; RENAMENX c d; EXPIRE c 100; EXPIRE c 50 GT; EXPIRE c -1;
        EXPIRE nothing 1; PEXPIRE d 100000; EXPIREAT d 1; SET d 1; PEXPIREAT d 4000000000000; PERSIST d; PERSIST d;
        COPY d e; COPY d e; COPY d e REPLACE; COPY d e DB 1; MOVE d 2; MOVE nothing 2; EXISTS nothing;
        TYPE nothing; TTL nothing; TOUCH nothing; OBJECT ENCODING nothing; RANDOMKEY; FLUSHDB; SWAPDB 0 1;
        FLUSHALL
    """,
    "dump and restore": """
        SET a 1; RESTORE b 0 garbage; DUMP nothing
    """,
    "lists": """
        RPUSH l a b c; LPUSH l x; LPUSHX l y; LPUSHX nothing y; RPUSHX l z; LSET l 0 w; LINSERT l BEFORE a q;
        LINSERT l BEFORE nope q; LREM l 1 q; LREM l 1 nope; LTRIM l 0 -1; LTRIM l 0 2; LPOP l; RPOP l 2;
        LPOP nothing; RPUSH l a; RPUSH l b; RPOPLPUSH l m; LMOVE l m LEFT RIGHT; LMOVE m m LEFT RIGHT;
        LMPOP 2 nothing m LEFT COUNT 1; LMPOP 1 m RIGHT COUNT 10; RPUSH l a; LTRIM l 5 6; LRANGE nothing 0 1;
        LLEN nothing; LINDEX nothing 0; RPUSH s 3 1 2; SORT s STORE t; SORT nothing STORE t; LREM s 0 1
    """,
    "blocking lists": """
        RPUSH l a b c d e f; BLPOP nothing l 0; BRPOP l 0; BLMOVE l m LEFT RIGHT 0; BRPOPLPUSH l m 0;
        BLMPOP 0 1 l LEFT COUNT 9
    """,
    "sets": """
        SADD s a b c; SADD s a; SREM s a nope; SREM s nope; SMOVE s t b; SMOVE s t nope; SMOVE s s c; ~ SPOP s;
        SPOP nothing; SADD s a b c; ~ SPOP s 2; ~ SPOP s 10; SADD s a b; SADD t b; SINTERSTORE d s t;
        SINTERSTORE d s nothing; SUNIONSTORE d s t; SDIFFSTORE d s t; SDIFFSTORE d t s; SADD s a b; SREM s a b;
        SMEMBERS nothing; SISMEMBER nothing a; SCARD nothing; SRANDMEMBER nothing
    """,
    "sorted sets": """
        ZADD z 1 a 2 b; ZADD z 1 a; ZADD z 3 a; ZADD z XX 5 nope; ZADD z INCR 2 a; ZINCRBY z 1 a; ZINCRBY n 1 a;
        ZREM z nope; ZREM z a; ZADD z 1 a 2 b 3 c 4 d 5 e 6 f 7 g; ZPOPMIN z; ZPOPMAX z 2; ZPOPMIN nothing;
        ZREMRANGEBYSCORE z 2 2; ZREMRANGEBYRANK z 0 0; ZREMRANGEBYLEX z [x [z; ZMPOP 2 nothing z MIN; BZPOPMIN z 0;
        ZADD z 1 a 2 b; BZPOPMAX z 0; ZADD y 1 a 2 b; ZRANGESTORE r y 0 -1; ZRANGESTORE r y 5 6;
        ZUNIONSTORE u 2 y z; ZINTERSTORE u 2 y z; ZDIFFSTORE u 2 y z; ZINTERSTORE u 2 y nothing; ZREM y a b;
        BZMPOP 0 1 z MIN; ZSCORE nothing a; ZRANGE nothing 0 1; ZCARD nothing
    """,
    "hashes": """
        HSET h f v g w; HSET h f v; HSETNX h f v; HSETNX h i v; HMSET h f v; HINCRBY h n 1; HINCRBYFLOAT h n 1.5;
        HDEL h nope; HDEL h f; HGETDEL h FIELDS 1 g; HSETEX h EX 100 FIELDS 1 j v; HGETEX h EX 100 FIELDS 1 i;
        HGETEX h PERSIST FIELDS 1 i; HEXPIRE h 100 FIELDS 1 i; HPERSIST h FIELDS 1 i; HPERSIST h FIELDS 1 i;
        HPEXPIREAT h 1 FIELDS 1 i; HEXPIRE h 0 FIELDS 2 n j; HSET h a 1; HDEL h a; HGET nothing f; HGETALL nothing;
        HLEN nothing; HEXISTS nothing f; HSETEX new EX 100 FIELDS 1 f v; HSETEX new FNX FIELDS 1 f v;
        HGETDEL new FIELDS 1 f
    """,
    "streams": """
        XADD x 1-1 f v; XADD x 2-1 f v; XADD x MAXLEN 1 3-1 f v; XADD x NOMKSTREAM 4-1 f v;
        XADD nothing NOMKSTREAM 1-1 f v; XTRIM x MAXLEN 1; XTRIM x MAXLEN 9; XDEL x 4-1; XDEL x 4-1;
        XGROUP CREATE x g 0; XGROUP CREATE made g $ MKSTREAM; XGROUP CREATECONSUMER x g c;
        XGROUP CREATECONSUMER x g c; XADD x 5-1 f v; XADD x 6-1 f v; XREADGROUP GROUP g c COUNT 1 STREAMS x >;
        XREADGROUP GROUP g fresh STREAMS x >; XACK x g 5-1; XCLAIM x g d 0 6-1; XAUTOCLAIM x g e 0 0; XSETID x 9-9;
        XGROUP SETID x g 0; XGROUP DELCONSUMER x g c; XGROUP DELCONSUMER x g nope; XGROUP DESTROY x g;
        XGROUP DESTROY x g; DEL x; XRANGE nothing - +; XLEN nothing
    """,
    "newer streams": """
        XADD x 1-1 f v; XADD x 2-1 f v; XGROUP CREATE x g 0; XREADGROUP GROUP g c STREAMS x >;
        XDELEX x DELREF IDS 1 1-1; XACKDEL x g DELREF IDS 1 2-1; XACKDEL x g IDS 1 2-1; XCFGSET x IDMP-DURATION 10
    """,
    "changing types": """
        SET k v; DEL k; RPUSH k a; SET k v; SET k w; SADD s a; SUNIONSTORE k s; SUNIONSTORE k s; RPUSH l a;
        RENAME l k; ZADD z 1 a; ZRANGESTORE k z 0 -1; COPY s k REPLACE; SORT s ALPHA STORE k; MSET k 1 s 2;
        GETSET k 1
    """,
    "bitmaps": """
        SETBIT bits 7 1; SETBIT bits 7 1; BITFIELD bits SET u8 0 5; BITFIELD bits GET u8 0; BITOP NOT dest bits;
        BITOP AND empty nothing nothing2; BITOP AND dest nothing nothing2; GETBIT nothing 0; BITCOUNT nothing;
        BITPOS nothing 1; RPUSH l a; BITOP NOT l bits
    """,
    "hyperloglogs": """
        PFADD p a; PFADD p a; PFADD empty; PFADD empty; PFMERGE q p; PFMERGE q nothing; PFCOUNT q; PFCOUNT nothing;
        PFCOUNT p q
    """,
    "places": """
        GEOADD g 13 38 a; GEOADD g 13 38 a; GEOADD g XX CH 14 38 a; GEOPOS nothing a;
        GEOSEARCHSTORE gs g FROMLONLAT 13 38 BYRADIUS 900 km ASC;
        GEOSEARCHSTORE gs g FROMLONLAT 0 0 BYRADIUS 9 km ASC; GEORADIUS g 13 38 900 km STORE r;
        GEORADIUS g 0 0 9 km STORE r
    """,
}
"""Commands by family, separated by semicolons; ~ marks those whose reply is random."""


def _commands_of(family: str) -> list[AnyCommand]:
    commands = [text.strip() for text in FAMILIES[family].split(";")]
    return [Shape(text[1:]) if text[0] == "~" else text for text in commands]


@pytest.mark.parametrize("family", FAMILIES)
def test_events_of_a_family(family: str) -> None:
    events(_commands_of(family))


def test_flushing_and_swapping_send_nothing() -> None:
    events(["SET a 1", "FLUSHDB", "SET a 1", "FLUSHALL", "SET a 1", "SWAPDB 0 1"])


def test_transactions_send_events_in_order() -> None:
    with pair(cleanup=OFF) as p:
        listener, client = p.client(), p.client()
        listener.do("PSUBSCRIBE __key*@*__:*")
        client.do(["CONFIG", "SET", "notify-keyspace-events", EVERYTHING])
        for command in ("MULTI", "SET a 1", "LPUSH a x", "INCR a", "DEL a", "EXEC"):
            client.do(command)
        listener.drain()


def test_events_of_served_clients_follow_those_of_the_write() -> None:
    with pair(cleanup=OFF) as p:
        listener, waiting, moving, client = p.client(), p.client(), p.client(), p.client()
        listener.do("PSUBSCRIBE __key*@*__:*")
        client.do(["CONFIG", "SET", "notify-keyspace-events", EVERYTHING])
        waiting.send("BLPOP l 0")
        moving.send("BLMOVE l m LEFT RIGHT 0")
        p.settle()
        client.do("RPUSH l a b c")
        waiting.receive()
        moving.receive()
        listener.drain()


def test_a_client_hears_its_own_events_after_its_replies() -> None:
    with pair(cleanup=OFF) as p:
        client = p.client(3)
        client.do(["CONFIG", "SET", "notify-keyspace-events", "KEA"])
        client.do("PSUBSCRIBE __key*@*__:*")
        for command in ("SET a 1", "MULTI", "SET a 2", "DEL a", "EXEC", "GET a"):
            client.send(command)
        client.drain()


def test_a_served_client_hears_its_own_events_after_its_reply() -> None:
    with pair(cleanup=OFF) as p:
        waiting, client = p.client(3), p.client()
        client.do(["CONFIG", "SET", "notify-keyspace-events", "KEA"])
        waiting.do("PSUBSCRIBE __keyevent@*__:lpop")
        waiting.send("BLPOP l 0")
        p.settle()
        client.do("RPUSH l a b")
        waiting.drain()


def test_expired_keys_send_expired() -> None:
    with pair(cleanup=OFF) as p:
        listener, client = p.client(), p.client()
        listener.do("PSUBSCRIBE __key*@*__:*")
        client.do(["CONFIG", "SET", "notify-keyspace-events", "KEx"])
        client.do("SET a 1 PX 20")
        for connection in (listener.theirs, listener.ours):
            assert connection.receive().endswith(b"$7\r\nexpired\r\n")
            assert connection.receive().endswith(b"__keyevent@0__:expired\r\n$1\r\na\r\n")
        listener.nothing()


def test_lazily_expired_keys_send_expired_when_looked_up() -> None:
    with pair(cleanup=OFF) as p:
        client = p.client()
        client.do("DEBUG SET-ACTIVE-EXPIRE 0")
        for name in "abcdefg":
            client.do(f"SET {name} 1 PX 1")
        time.sleep(0.01)
        _listen(
            p,
            ["GET a", "SET b 1", "DEL c", "RENAME d e", "INCR e", "LPUSH f x", "EXISTS g", "TYPE g"],
            EVERYTHING,
        )


_keys = st.sampled_from(["a", "b"])
_FORMS = (
    "SET {} 1;DEL {};LPUSH {} x y;LPOP {};SADD {} m;SREM {} m;INCR {};APPEND {} 1;HSET {} f 1;HDEL {} f;ZADD {} 1 m;"
    "ZREM {} m;RENAME {} c;EXPIRE {} 100;PERSIST {};EXPIRE {} -1;GET {};GETDEL {};SET {} 1 EX 9;COPY {} d REPLACE;"
    "MOVE {} 1;LMOVE {} c LEFT LEFT;SUNIONSTORE {} a b;SORT {} ALPHA STORE c"
)
_commands = st.builds(str.format, st.sampled_from(_FORMS.split(";")), _keys)


@examples(40)
@given(st.lists(_commands, max_size=20))
def test_generated_events(script: list[str]) -> None:
    events(script)
