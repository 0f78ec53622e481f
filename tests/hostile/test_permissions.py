"""A client with few permissions that tries to get at what it may not have, and strangers who guess passwords."""

import pytest

import broker
from tests.hostile.clients import CLOSED, Client, assert_serves, connect, encode

VICTIMS = ("victim", "victims", "victimz", "victimh", "victimst", "victimx")
SECRET = b"s3cret"

# Requests that touch a victim with numbers of keys that lie, keywords twice, and keys that no rule of thumb finds.
REACHING = [
    "GET victim", "SET victim x", "SET victim x GET", "GETEX victim PERSIST", "MGET own victim", "MSET own 1 victim 2",
    "MSETEX 1 victim 1", "MSETEX 2 own 1 victim 1", "DEL own victim", "UNLINK victim", "RENAME victim own",
    "RENAME own victim", "COPY victim own", "COPY own victim REPLACE", "DUMP victim", "RESTORE victim 0 x REPLACE",
    "OBJECT ENCODING victim", "TYPE victim", "TTL victim", "EXPIRE victim 1", "APPEND victim x", "GETRANGE victim 0 -1",
    "SETRANGE victim 0 x", "STRLEN victim", "INCR victim", "LCS victim own", "BITOP NOT own victim", "BITCOUNT victim",
    "BITFIELD victim GET u8 0", "BITFIELD_RO victim GET u8 0", "PFCOUNT victim", "PFMERGE own victim",
    "LMOVE victims own LEFT LEFT", "LMPOP 1 victims LEFT", "LMPOP 2 own victims LEFT", "BLMPOP 0 2 own victims LEFT",
    "BLPOP own victims 0", "BRPOPLPUSH victims own 0", "LRANGE victims 0 -1", "RPOPLPUSH victims own",
    "SORT victims", "SORT own STORE victim", "SORT own STORE own STORE victim", "SORT own GET victim",
    "SORT own BY victim* GET victim*", "SORT_RO own GET victim*", "SORT own LIMIT STORE GET victim*",
    "SUNIONSTORE own victimst", "SINTERCARD 1 victimst", "SINTERCARD 2 own victimst LIMIT 1", "SMOVE victimst own a",
    "ZUNIONSTORE own 1 victimz", "ZUNIONSTORE victimz 1 own", "ZUNION 2 own victimz WITHSCORES",
    "ZRANGESTORE own victimz 0 -1", "ZMPOP 1 victimz MIN", "BZMPOP 0 1 victimz MIN", "ZDIFF 1 victimz",
    "GEORADIUS own 1 1 1 km STORE victim", "GEORADIUS own 1 1 1 km STORE own STOREDIST victim",
    "GEOSEARCHSTORE own victimz FROMLONLAT 1 1 BYBOX 1 1 km", "HGETALL victimh", "HGETDEL victimh FIELDS 1 f",
    "XREAD STREAMS victimx 0", "XREAD COUNT 1 STREAMS own victimx 0 0", "XREAD STREAMS STREAMS victimx 0",
    "XREADGROUP GROUP g STREAMS STREAMS victimx 0", "XRANGE victimx - +", "XINFO STREAM victimx FULL",
    "XADD victimx * f v", "WATCH victim", "EVAL return(redis.call('GET',KEYS[1])) 1 victim",
    "EVAL return(redis.call('GET',ARGV[1])) 0 victim", "EVAL return(redis.pcall('GET','victim')) 0",
    "EVAL return(redis.call('LRANGE','victims',0,-1)) 1 own", "EVAL_RO return(redis.call('GET','victim')) 0",
    "EVAL return(redis.call('SORT','own','GET','victim*')) 0", "EVAL redis.call('SET','victim','x') 0",
    "FCALL read 0 victim", "FCALL read 1 victim", "FCALL_RO read 0 victim", "CONFIG SET requirepass x",
    "CONFIG GET requirepass", "ACL SETUSER guest +@all", "ACL GETUSER default", "DEBUG OBJECT victim", "FLUSHALL",
    "SWAPDB 0 1", "MOVE victim 1", "SELECT 1", "KEYS *", "RANDOMKEY", "SCAN 0", "SUBSCRIBE private", "PSUBSCRIBE *",
    "PUBLISH private x", "SSUBSCRIBE private", "CLIENT KILL USER default", "SHUTDOWN NOSAVE", "SAVE", "MONITOR",
]  # fmt: skip
RULES = "+@all -@dangerous -@admin -select -move -@keyspace +del +unlink +rename +copy +dump +object +type +ttl +expire"


async def guest(server: broker.Server, admin: Client) -> Client:
    rules = f"{RULES} +@sortedset +sort +sort_ro +restore ~own* resetchannels &public".split()
    assert await admin.call("ACL", "SETUSER", "guest", "reset", "on", ">guess", *rules) == b"+OK\r\n"
    client = Client(await server.connect())
    assert await client.call("AUTH", "guest", "guess") == b"+OK\r\n"
    return client


async def fill(admin: Client) -> list[bytes]:
    """Make the victims; returns what they are."""
    for command in (
        f"SET victim {SECRET.decode()}",
        f"RPUSH victims {SECRET.decode()}",
        f"ZADD victimz 1 {SECRET.decode()}",
        f"HSET victimh f {SECRET.decode()}",
        f"SADD victimst {SECRET.decode()}",
        f"XADD victimx 1-1 f {SECRET.decode()}",
        "XGROUP CREATE victimx g 0",
        "RPUSH own 1 2",
    ):
        assert not (await admin.call(*command.split())).startswith(b"-")
    code = "#!lua name=lib\nredis.register_function{function_name='read',flags={'no-writes'},"
    code += "callback=function(keys, args) return redis.call('GET', args[1] or keys[1]) end}"
    assert not (await admin.call("FUNCTION", "LOAD", code)).startswith(b"-")
    return await dumps(admin)


async def dumps(admin: Client) -> list[bytes]:
    return [await admin.call("DUMP", victim) for victim in VICTIMS]


@pytest.mark.parametrize("way", ["plain", "transaction", "script", "pipeline"])
async def test_nothing_leads_to_the_keys_of_others(server: broker.Server, way: str) -> None:
    async with connect(server) as admin:
        before = await fill(admin)
        client = await guest(server, admin)
        replies = b""
        requests = [request.split() for request in REACHING]
        if way == "pipeline":
            await client.send(b"".join(map(encode, requests)))
            replies = b"".join([await client.receive() for _ in requests])
            assert replies.count(b"-NOPERM") + replies.count(b"-ERR") >= len(requests)
        for request in requests if way != "pipeline" else ():
            if way == "transaction":
                await client.call("MULTI")
            words = ["EVAL", "return redis.pcall(unpack(ARGV))", "0", *request] if way == "script" else request
            reply = await client.call(*words)
            if way == "transaction":
                reply = await client.call("EXEC")
            assert reply.startswith((b"-", b"*1\r\n-") if way == "transaction" else b"-"), (request, reply)
            replies += reply
        assert SECRET not in replies
        assert await dumps(admin) == before
        assert await client.call("LRANGE", "own", "0", "-1") == b"*2\r\n$1\r\n1\r\n$1\r\n2\r\n"
        await client.stream.aclose()


async def test_what_was_queued_is_not_executed_once_permission_is_gone(server: broker.Server) -> None:
    async with connect(server) as admin:
        client = await guest(server, admin)
        for words in (["MULTI"], ["SET", "own", "1"], ["DEL", "own"]):
            await client.call(*words)
        await admin.call("ACL", "SETUSER", "guest", "resetkeys")
        reply = await client.call("EXEC")
        assert reply.count(b"-NOPERM ACLs rules changed") == 2
        assert await admin.call("EXISTS", "own") == b":0\r\n"
        await client.stream.aclose()


async def test_a_deleted_user_executes_nothing_more(server: broker.Server) -> None:
    async with connect(server) as admin:
        client = await guest(server, admin)
        await admin.send(encode(["ACL", "DELUSER", "guest"]))
        assert await admin.receive() == b":1\r\n"
        await client.send(encode(["SET", "own", "1"]) * 10_000)
        assert await client.receive() == CLOSED
        assert await admin.call("EXISTS", "own") == b":0\r\n"
        assert await admin.call("AUTH", "guest", "guess") == (
            b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        )
        await client.stream.aclose()


async def test_guessing_and_trying_fill_no_memory() -> None:
    async with broker.open_broker({"requirepass": "secret"}) as server:
        async with connect(server) as stranger:
            for number in range(1_000):
                reply = await stranger.call("AUTH", f"{number}" + "x" * 16_000, "y" * 16_000)
                assert reply.startswith(b"-WRONGPASS")
        log = server.broker.users.log
        assert len(log.entries) == 128
        assert log.denied["auth"] == 1_000
        await assert_serves(server, "secret")


async def test_the_log_does_not_keep_huge_keys(server: broker.Server) -> None:
    async with connect(server) as admin:
        client = await guest(server, admin)
        assert (await client.call("GET", b"x" * 10_000_000)).startswith(b"-NOPERM")
        (entry,) = server.broker.users.log.entries
        assert len(entry.object) == 1 << 16
        await client.stream.aclose()


async def test_passwords_are_in_no_log_and_no_reply(server: broker.Server) -> None:
    async with connect(server) as admin:
        client = await guest(server, admin)
        await client.call("AUTH", "guest", "nearly-guess")
        everything = b""
        for words in (["ACL", "LIST"], ["ACL", "GETUSER", "guest"], ["ACL", "LOG"], ["CLIENT", "LIST"]):
            everything += await admin.call(*words)
        assert b">guess" not in everything
        assert b"nearly-guess" not in everything
        await client.stream.aclose()
