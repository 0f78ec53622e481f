"""CLIENT TRACKING beside redis-server: who is told of which change, when and how."""

import re

import pytest

from tests.oracle.harness import Masked, Step, pair, requires
from tests.oracle.tracked import ids, redirected, states, tell, totals

pytestmark = requires("8.10")

INVALIDATIONS = "SUBSCRIBE __redis__:invalidate"


@pytest.mark.parametrize("options", ["", "NOLOOP", "OPTIN", "OPTOUT", "BCAST", "BCAST NOLOOP", "BCAST PREFIX k"])
@pytest.mark.parametrize("resp", [2, 3])
def test_changes_by_the_client_and_by_others(resp: int, options: str) -> None:
    with pair() as p:
        client = p.client(resp)
        client.do(f"CLIENT TRACKING on {options}")
        for command in ("SET k 1", "MSET k 2 l 2", "DEL k l", "FLUSHALL ASYNC"):
            client.do("MGET k l")
            client.do(command)
            client.drain()
            client.do("MGET k l")
            tell(p, command, command)
            client.drain()
        states(client)
        totals(client)


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("receiving", [2, 3])
@pytest.mark.parametrize("options", ["", "NOLOOP", "BCAST"])
def test_redirection(resp: int, receiving: int, options: str) -> None:
    with pair(mask=ids) as p:
        client, receiver = p.client(resp), p.client(receiving)
        client.do(redirected(receiver, options))
        commands = ("SET k 1", "MSET k 2 l 2", "DEL k l", "FLUSHALL ASYNC", "FLUSHDB ASYNC")
        for subscribed in (False, True):
            if subscribed:
                receiver.do(INVALIDATIONS if receiving == 2 else "SUBSCRIBE unrelated")
            for command in commands:
                client.do("MGET k l")
                client.do(command)
                client.drain()
                receiver.drain()
                client.do("MGET k l")
                tell(p, command)
                client.drain()
                receiver.drain()
        receiver.close()
        p.settle()
        for command in commands:
            client.do("MGET k l")
            tell(p, command)
            client.drain()
            states(client)
        client.do("MGET k l")
        client.do("SET k 1")
        client.drain()
        client.do("CLIENT TRACKING on")
        states(client)


@pytest.mark.parametrize("command", ["SSUBSCRIBE s", "PSUBSCRIBE p*"])
def test_any_subscription_of_the_receiver_will_do(command: str) -> None:
    with pair(mask=ids) as p:
        client, receiver = p.client(2), p.client(2)
        client.do(redirected(receiver))
        receiver.do(command)
        client.do("GET k")
        tell(p, "SET k 1")
        receiver.drain()
        receiver.do("SUNSUBSCRIBE s" if command.startswith("S") else "PUNSUBSCRIBE p*")
        client.do("GET k")
        tell(p, "SET k 1")
        receiver.drain()


def test_messages_follow_the_replies_of_the_receiver_too() -> None:
    with pair(mask=ids) as p:
        client, receiver = p.client(3), p.client(3)
        client.do(redirected(receiver))
        for command in (
            "SET k 1",
            "EVAL \"return redis.call('set', 'k', 2)\" 0",
            Step("FLUSHALL", replies=2),
            "FLUSHALL ASYNC",
        ):
            client.do("GET k")
            receiver.do(command)
            receiver.drain()
        client.do("GET k")
        for command in ("MULTI", "SET k 3", "PING", "EXEC"):
            receiver.do(command)
        receiver.drain()
        client.do("GET k")
        client.do("SET k 4")
        client.drain()
        receiver.drain()


def test_a_client_that_redirects_to_itself() -> None:
    with pair(mask=ids) as p:
        client = p.client(3)
        client.do(redirected(client))
        client.do("GET k")
        client.do("SET k 1")
        client.drain()
        states(client)
        client.do("CLIENT TRACKING off")
        states(client)
        client.do("SET k 1")
        client.drain()


@pytest.mark.parametrize("resp", [2, 3])
def test_scripts_read_and_write_for_their_caller(resp: int) -> None:
    with pair() as p:
        client = p.client(resp)
        for options in ("", "NOLOOP"):
            client.do(f"CLIENT TRACKING on {options}")
            client.do("EVAL \"redis.call('get', 'a') redis.call('set', 'a', 1) return redis.call('get', 'a')\" 0")
            client.drain()
            client.do("EVAL_RO \"return redis.call('mget', 'b', 'c')\" 2 x y")
            client.do("EVAL \"return redis.pcall('lrange', 'a', 0, 1)\" 1 a")
            totals(client)
            tell(p, "MSET a 1 b 1 c 1 x 1 y 1")
            client.drain()
            client.do("EVAL \"redis.call('get', 'a') redis.call('flushall') return redis.call('get', 'a')\" 0")
            client.drain()
            tell(p, "EVAL \"return redis.call('set', 'a', 1)\" 0")
            client.drain()
        client.do("CLIENT TRACKING off")
        client.do("CLIENT TRACKING on BCAST NOLOOP")
        client.do("EVAL \"return redis.call('set', 'a', 1)\" 0")
        client.drain()


def test_transactions_and_their_own_changes() -> None:
    with pair() as p:
        client, other = p.client(3), p.client(3)
        other.do("CLIENT TRACKING on")
        for options in ("", "NOLOOP", "BCAST", "BCAST NOLOOP"):
            client.do("CLIENT TRACKING off")
            client.do(f"CLIENT TRACKING on {options}")
            other.do("MGET a b")
            for command in ("MULTI", "GET a", "SET a 1", "GET a", "SET a 2", "MGET b", "RENAME a b", "FLUSHDB", "EXEC"):
                client.do(command)
            client.drain()
            other.drain()
        for command in ("MULTI", "GET a", "CLIENT TRACKING off", "GET b", "SET a 1", "CLIENT TRACKING on", "GET c"):
            client.do(command)
        client.do("EXEC")
        client.drain()
        totals(client)
        for command in ("MULTI", "GET a", "SET a 1", "CLIENT TRACKING off", "SET a 2", "EXEC"):
            client.do(command)
        client.drain()


def test_events_come_before_a_clients_own_invalidations() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        client = p.client(3)
        client.do("CONFIG SET notify-keyspace-events KEA")
        client.do("PSUBSCRIBE __key*")
        client.do("CLIENT TRACKING on")
        client.do("GET k")
        client.do("SET k 1")
        client.drain()
        client.do("GET k")
        for command in ("MULTI", "SET k 1", "GET k", "DEL k", "PUBLISH c m", "EXEC"):
            client.do(command)
        client.drain()
        client.do("GET k")
        tell(p, "SET k 1")
        client.drain()


READS = (
    "GET k|MGET k k l|EXISTS k l|TYPE k|TTL k|OBJECT ENCODING k|OBJECT HELP|MEMORY USAGE k|XINFO STREAM k|TOUCH k"
    "|PFCOUNT k l|DUMP k|SORT_RO k BY w* GET g*|SORT k|WATCH k|GEORADIUS k 1 1 1 km|GEORADIUS_RO k 1 1 1 km"
    "|BITFIELD_RO k GET u8 0|BITFIELD k GET u8 0|SINTERCARD 2 k l|ZUNION 2 k l|LCS k l"
    "|XREAD COUNT 1 STREAMS k l 0 0|GETEX k|SUBSTR k 0 1|RANDOMKEY|SCAN 0|KEYS *|DBSIZE|GETDEL k|XPENDING k g"
    "|ZDIFF 1 k|LMPOP 1 l LEFT|LRANGE k 0 1|EVAL_RO 'return 1' 1 k|SPUBLISH k m|GET|LRANGE k 0|HGETALL k"
    "|HRANDFIELD k|ZRANGE k 0 -1|GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 km|DIGEST k|SINTERCARD x k"
    "|XREADGROUP GROUP g c STREAMS k >|STRLEN k|COMMAND GETKEYS GET k|BITCOUNT k|HTTL k FIELDS 1 f"
)


@pytest.mark.parametrize("command", READS.split("|"))
def test_which_commands_read(command: str) -> None:
    with pair() as p:
        client = p.client(3)
        tell(p, "SET k 1", "SADD l 1")
        client.do("CLIENT TRACKING on")
        client.send(Masked(command, lambda reply: b""))
        client.drain()
        totals(client)
        tell(p, "SET l 2", "SET k 2")
        client.drain()
        totals(client)


WRITES = (
    "RENAME k k2|COPY k2 k3|MOVE k2 1|SET k 1|EXPIRE k 100|PERSIST k|PERSIST k|GETEX k EX 100|EXPIRE k 0|SET k 1"
    "|GETDEL k|MSET k 1 k2 2|UNLINK k k2|SADD s 1|SADD s 1|SMOVE s t 1|SORT t STORE u|LPUSH l 1|LTRIM l 5 6"
    "|XADD x 1-1 a b|XGROUP CREATE x g 0|XREADGROUP GROUP g c STREAMS x >|XACK x g 1-1|XDEL x 1-1|PFADD p a"
    "|PFCOUNT p|PFMERGE p2 p|SETBIT b 1 1|RESTORE r 0 x|APPEND k 1|INCR k|GETSET k 1|SETRANGE k 0 a|ZADD z 1 a"
    "|ZADD z 1 a|HSET h f 1|HSET h f 1|HINCRBY h f 1|HEXPIRE h 100 FIELDS 1 f|HDEL h f|HDEL h f|OBJECT FREQ k"
    "|TOUCH k|SWAPDB 0 1|SWAPDB 0 1|SET k 1 XX|SET k 1 NX|GEOADD g 1 1 a"
    "|GEOSEARCHSTORE g2 g FROMLONLAT 1 1 BYRADIUS 100 km|ZRANGESTORE z2 z 0 -1|XSETID x 5-5|XGROUP DESTROY x g"
    "|DEL nothing|LPUSH l 1 2|LMOVE l l2 LEFT RIGHT|LPOP l|RPOPLPUSH l2 l|BITOP NOT k2 k|SPOP s|ZPOPMIN z"
    "|DEBUG RELOAD|SET k 2"
)


def test_which_commands_change_which_keys() -> None:
    with pair(cleanup=["FLUSHALL"]) as p:
        reader, listener = p.client(3), p.client(3)
        reader.do("CLIENT TRACKING on")
        listener.do("CLIENT TRACKING on BCAST")
        writer = p.client()
        for command in WRITES.split("|"):
            reader.do(Masked("MGET k k2 k3 s t u l l2 x p p2 b r z z2 h g g2 nothing", lambda reply: b""))
            writer.do(command)
            reader.drain()
            listener.drain()


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHALL SYNC", "FLUSHALL ASYNC", "FLUSHDB", "FLUSHDB ASYNC"])
@pytest.mark.parametrize("options", ["", "NOLOOP", "BCAST PREFIX x"])
def test_flushing_and_the_order_of_its_reply(command: str, options: str) -> None:
    with pair() as p:
        client, other = p.client(3), p.client(3)
        for each in (client, other):
            each.do(f"CLIENT TRACKING on {options}")
        for filled in (False, True):
            if filled:
                tell(p, "SET k 1")
            other.do("GET k")
            client.do(Step(command, replies=2))
            client.drain()
            other.drain()
        for within in ("MULTI", command, command, "EXEC"):
            client.do(within)
        client.drain()
        client.do(f"EVAL \"return redis.call('{command.split()[0]}')\" 0")
        client.drain()
        totals(client)


def test_flushing_another_database() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("CLIENT TRACKING on")
        client.do("GET k")
        tell(p, "SELECT 1", "SET k 1", "FLUSHDB")
        client.drain()
        totals(client)


def test_keys_are_known_by_their_names_alone() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("CLIENT TRACKING on")
        client.do("GET k")
        tell(p, "SELECT 3", "SET k 1")
        client.drain()


def test_replies_that_are_off() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("CLIENT TRACKING on")
        client.do("GET k")
        client.theirs.send(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")
        client.ours.send(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")
        p.settle()
        tell(p, "SET k 1")
        client.drain()
        for command in ("GET k", "SET k 2", "FLUSHALL"):
            client.send(command)
            client.drain()
        client.do("CLIENT REPLY ON")


def test_reset_and_disconnecting() -> None:
    with pair() as p:
        client, other = p.client(3), p.client(3)
        for options in ("", "BCAST PREFIX k PREFIX l"):
            client.do(f"CLIENT TRACKING on {options}")
            other.do(f"CLIENT TRACKING on {options}")
            client.do("GET k")
            totals(client)
            client.do("RESET")
            states(client)
            tell(p, "SET k 1")
            client.drain()
            other.drain()
            totals(client)
            other.do("GET k")
            other.do("CLIENT TRACKING off")
        other.close()
        p.settle()
        totals(client)
        tell(p, "SET k 1")
        totals(client)


def test_off_and_on_again() -> None:
    with pair() as p:
        client = p.client(3)
        for again in ("on", "on BCAST PREFIX z", "on OPTIN"):
            client.do("CLIENT TRACKING on")
            client.do("GET k")
            client.do("CLIENT TRACKING off")
            client.do(f"CLIENT TRACKING {again}")
            totals(client)
            tell(p, "SET k 1")
            client.drain()
            client.do("CLIENT TRACKING off")
        client.do("CLIENT TRACKING on")
        client.do("GET k")
        client.do("CLIENT TRACKING off")
        tell(p, "SET k 1")
        client.do("CLIENT TRACKING on")
        tell(p, "SET k 1")
        client.drain()


def test_switching_protocols() -> None:
    with pair() as p:
        client = p.client(2)
        client.do("CLIENT TRACKING on")
        for version in ("3", "2", "3"):
            client.do("GET k")
            client.do(Masked(f"HELLO {version}", lambda reply: b""))
            tell(p, "SET k 1")
            client.drain()
            totals(client)


# Broadcasting


def test_broadcasts_come_once_in_order_of_prefixes_and_keys() -> None:
    with pair() as p:
        client, listener, both = p.client(3), p.client(3), p.client(3)
        client.do("CLIENT TRACKING on BCAST PREFIX b PREFIX a NOLOOP")
        listener.do("CLIENT TRACKING on BCAST PREFIX b PREFIX a")
        both.do("CLIENT TRACKING on BCAST PREFIX b")
        both.do("CLIENT TRACKING on BCAST")
        totals(client)
        for command in (
            "MSET b2 1 a2 1 c 1 b1 1 a1 1",
            "EVAL \"redis.call('mset', 'a', 1, 'b', 2)\" 0",
            "SET c 1",
            "DEL a a",
        ):
            for writer in (client, listener):
                writer.do(command)
                for each in (client, listener, both):
                    each.drain()


# Waiting


@pytest.mark.parametrize("options", ["", "NOLOOP"])
def test_clients_that_wait(options: str) -> None:
    with pair() as p:
        client, other = p.client(3), p.client()
        client.do(f"CLIENT TRACKING on {options}")
        client.send("XREAD BLOCK 0 STREAMS q $")
        p.settle()
        totals(other)
        other.do("XADD q 1-1 a 1")
        client.drain()
        totals(other)
        other.do("XADD q 1-2 a 1")
        client.drain()
        client.do("LRANGE l 0 -1")
        client.send("BLPOP l 0")
        p.settle()
        for command in ("MULTI", "RPUSH l 1 2", "LLEN l", "EXEC"):
            other.do(command)
        client.drain()
        totals(other)
        client.do("LRANGE l 0 -1")
        client.do("BLPOP l 0")
        client.drain()
        client.do("LRANGE l 0 -1")
        client.send("BLMOVE l l LEFT LEFT 0")
        p.settle()
        other.do("RPUSH l 1")
        client.drain()
        totals(other)


def test_caching_holds_while_a_client_waits() -> None:
    with pair() as p:
        client, other = p.client(3), p.client()
        client.do("CLIENT TRACKING on OPTIN")
        client.do("CLIENT CACHING yes")
        client.send("XREAD BLOCK 0 STREAMS q $")
        p.settle()
        totals(other)
        other.do("XADD q 1-1 a 1")
        client.drain()
        totals(other)
        client.do("CLIENT TRACKINGINFO")
        client.do("CLIENT CACHING yes")
        client.send("XREAD BLOCK 1 STREAMS q $")
        p.settle()
        client.receive()
        client.do("CLIENT TRACKINGINFO")


# Limits


def test_a_table_that_is_full_forgets_keys() -> None:
    with pair(cleanup=["CONFIG SET tracking-table-max-keys 1000000"]) as p:
        client = p.client(3)
        client.do("CONFIG SET tracking-table-max-keys 1")
        client.do("CLIENT TRACKING on")

        def unnamed(reply: bytes) -> bytes:
            return re.sub(rb"k\d", b"k", reply)

        for number in range(9):
            client.send(f"GET k{number}")
            client.send("PING")
        for _ in range(9 + 9 + 8):
            client.receive(Masked("PING", unnamed))
        client.nothing()
        totals(client)
        client.do("CONFIG SET tracking-table-max-keys 0")
        client.do("MGET a b c d e f")
        totals(client)
        client.do("CONFIG GET tracking-table-max-keys")
        client.do("CONFIG SET tracking-table-max-keys -1")
