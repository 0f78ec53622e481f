"""A broker as the replica of Redis 7.0, the reference and Valkey: the same data, offsets and IDs in every case."""

from collections.abc import Iterator

import pytest

from tests.oracle.wire import Connection, encode, split
from tests.replication.nodes import Node, digest, info, until, until_in_step, until_same

WORKLOAD = """
SET s 1
SET t 2 PX 100000000
INCR s
APPEND s x
SETRANGE t 5 yy
SETBIT bits 7 1
GETDEL gone
MSET m1 1 m2 2
INCRBYFLOAT f 1.5
BITFIELD b SET u8 0 255
PFADD hll a b c
PFCOUNT hll
GETEX t EX 1000
RPUSH l a b c d
LPUSHX l z
LINSERT l BEFORE b x
LREM l 1 c
LTRIM l 0 3
LMOVE l l2 LEFT RIGHT
RPOP l
LMPOP 1 l LEFT
LSET l2 0 q
SADD set a b c 1 2
SREM set a
SPOP set 2
SMOVE set set2 c
SUNIONSTORE set3 set set2
ZADD z 1 a 2 b 3 c
ZINCRBY z 1.5 a
ZPOPMIN z
ZRANGESTORE z2 z 0 -1
ZREMRANGEBYSCORE z 0 1
GEOADD geo 13.36 38.11 p 15.08 37.50 c
GEOSEARCHSTORE near geo FROMMEMBER p BYRADIUS 500 km
HSET h a 1 b 2
HINCRBY h a 5
HINCRBYFLOAT h b 0.5
HDEL h a
HSETNX h n 1
XADD x 1-1 a 1
XADD x * b 2
XADD x MAXLEN 2 * c 3
XGROUP CREATE x g 0
XREADGROUP GROUP g one COUNT 1 STREAMS x >
XACK x g 1-1
XAUTOCLAIM x g two 0 0
XDEL x 1-1
XTRIM x MAXLEN 5
XSETID x 99999999999999-1
XGROUP CREATECONSUMER x g three
SELECT 3
SET elsewhere 1
COPY elsewhere copied DB 5
MOVE elsewhere 7
SELECT 0
SWAPDB 5 6
RENAME s renamed
EXPIRE renamed 100000
PERSIST renamed
PEXPIREAT m1 99999999999999
SORT l2 ALPHA STORE sorted
EXPIRE m2 -1
EVAL "redis.call('set','lua',1) redis.call('incr','lua') return redis.call('publish','c','m')" 0
MULTI
SET multi 1
INCR multi
PUBLISH c m
EXEC
MULTI
EXEC
PUBLISH c m
FLUSHDB
FUNCTION LOAD "#!lua name=lib\\nredis.register_function('f', function() return redis.call('incr', 'counter') end)"
FCALL f 0
FCALL f 0
SET again 1
RESTORE restored 0 "\\x00\\xc0\\x01\\x0b\\x00\\xf6\\x8a\\xb6z\\x85\\x87rM" REPLACE
BLPOP nothing 0.01
RPUSH q 1 2 3
BLMOVE q q2 LEFT RIGHT 1
BZPOPMIN z 0.01
SETEX soon 1 x
PSETEX soon2 500000 x
""".strip().splitlines()


@pytest.fixture(params=["redis-7.0", "redis-8", "valkey"])
def master(request: pytest.FixtureRequest) -> Iterator[Node]:
    with Node(request.param) as started:
        yield started


@pytest.fixture
def replica() -> Iterator[Node]:
    with Node("trimaran") as started:
        yield started


def play(connection: Connection, commands: list[str] = WORKLOAD) -> None:
    for command in commands:
        connection.send(encode(split(command)))
    for _ in commands:
        connection.receive()


def follow(replica: Connection, master: Node) -> None:
    assert replica.call("REPLICAOF", "127.0.0.1", str(master.port)).startswith(b"+OK")


def test_the_same_data(master: Node, replica: Node) -> None:
    theirs, ours = master.connect(), replica.connect()
    play(theirs)  # what the RDB file holds
    follow(ours, master)
    until_same(theirs, ours)
    play(theirs)  # what the stream says
    until_same(theirs, ours)
    assert info(theirs)["master_replid"] == info(ours)["master_replid"]
    assert ours.call("FCALL_RO", "f", "0").startswith(b"-")
    assert f"port={replica.port},state=online" in info(theirs)["slave0"]


def test_a_broken_connection_is_continued(master: Node, replica: Node) -> None:
    theirs, ours = master.connect(), replica.connect()
    follow(ours, master)
    until_in_step(theirs, ours)
    for _ in range(3):
        play(theirs)
        assert theirs.call("CLIENT", "KILL", "TYPE", "replica") in (b":1\r\n", b":0\r\n")
        play(theirs)
    until_same(theirs, ours)
    assert info(theirs, "stats")["sync_full"] == "1"


def test_a_new_history_of_the_master(master: Node, replica: Node) -> None:
    theirs, ours = master.connect(), replica.connect()
    follow(ours, master)
    until_in_step(theirs, ours)
    play(theirs)
    theirs.call("DEBUG", "CHANGE-REPL-ID")
    theirs.call("CLIENT", "KILL", "TYPE", "replica")
    until(lambda: info(theirs)["master_replid"] == info(ours)["master_replid"])
    until_same(theirs, ours)


@pytest.mark.parametrize("mode", ["disabled", "on-empty-db", "swapdb", "flushdb"])
def test_large_data(mode: str, replica: Node) -> None:
    with Node("redis-8") as master:
        theirs, ours = master.connect(), replica.connect()
        ours.call("CONFIG", "SET", "repl-diskless-load", mode)
        ours.call("SET", "own", "1")
        theirs.call("DEBUG", "POPULATE", "30000", "key", "100")
        follow(ours, master)
        until_same(theirs, ours)
        assert ours.call("GET", "own") == b"$-1\r\n"


def test_the_master_is_gone_and_comes_back(replica: Node) -> None:
    ours = replica.connect()
    with Node("redis-7.0") as master:
        theirs = master.connect()
        follow(ours, master)
        until_in_step(theirs, ours)
        play(theirs)
        until_in_step(theirs, ours)
        master.kill()
        until(lambda: info(ours)["master_link_status"] == "down")
        assert ours.call("GET", "again") == b"$1\r\n1\r\n"
        master.start()
        theirs = master.connect()
        theirs.call("SET", "new", "1")
        until_same(theirs, ours)
        assert replica.alive()


def test_a_promoted_replica_is_followed_by_its_former_master(replica: Node) -> None:
    with Node("redis-8") as former:
        theirs, ours = former.connect(), replica.connect()
        follow(ours, former)
        until_in_step(theirs, ours)
        play(theirs)
        until_in_step(theirs, ours)
        assert ours.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        play(ours)
        data = digest(ours)
        follow(ours, former)
        until_in_step(theirs, ours)
        assert digest(theirs) == digest(ours) != data


def test_keys_expire_when_the_master_says_so(master: Node, replica: Node) -> None:
    theirs, ours = master.connect(), replica.connect()
    follow(ours, master)
    until_in_step(theirs, ours)
    theirs.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    theirs.call("SET", "k", "1", "PX", "10")
    until_in_step(theirs, ours)
    until(lambda: ours.call("GET", "k") == b"$-1\r\n")
    assert ours.call("DBSIZE") == b":1\r\n"
    assert theirs.call("GET", "k") == b"$-1\r\n"
    until_in_step(theirs, ours)
    until(lambda: ours.call("DBSIZE") == b":0\r\n")


def test_the_configuration_is_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("config") / "redis.conf"
    file.write_text("replica-priority 50\n")
    with Node("redis-8") as master:
        port = master.port
        with Node("trimaran", include=str(file)) as ours:
            connection = ours.connect()
            assert info(connection)["role"] == "master"
        file.write_text(f"replicaof 127.0.0.1 {port}\nreplica-priority 50\n")
        with Node("trimaran", include=str(file)) as ours:
            connection = ours.connect()
            until_in_step(master.connect(), connection)
            assert info(connection)["slave_priority"] == "50"
        with Node("trimaran", replicaof=f"127.0.0.1 {port}") as ours:
            until_in_step(master.connect(), ours.connect())
