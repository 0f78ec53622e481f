"""CLIENT PAUSE beside the reference: what is answered, what waits, and that nothing expires meanwhile."""

import time

import pytest

from tests.oracle.harness import Command, Pair, Raw, Shape, Unordered, pair, requires
from tests.oracle.wire import parse

pytestmark = requires("8.10")

ANSWERED = (
    "GET k", 'EVAL_RO "return 1" 0', ["EVAL", "#!lua flags=no-writes\nreturn 1", 0], 'SCRIPT LOAD "return 1"',
    "WAIT 0 0",
)  # fmt: skip
HELD_BACK = ("SET k w", "PUBLISH a b", 'EVAL "return 1" 0', "PFCOUNT k", "SPUBLISH a b", "BLPOP l 0.01", "FLUSHALL")


@pytest.mark.parametrize("command", ANSWERED)
def test_reads_are_answered(command: Command) -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as both:
        client = both.client()
        client.do("SET k v")
        client.do("CLIENT PAUSE 100000 WRITE")
        for step in (command, "MULTI", command, "EXEC"):
            client.do(step)


@pytest.mark.parametrize("command", HELD_BACK)
def test_writes_wait(command: str) -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as both:
        control, alone, transaction = both.client(), both.client(), both.client()
        control.do("CLIENT PAUSE 100000 WRITE")
        alone.send(Raw(command.encode() + b"\r\n"))
        transaction.do("MULTI")
        transaction.send(Raw(command.encode() + b"\r\n"))
        both.settle(blocked=2)
        alone.nothing()
        transaction.nothing()
        control.do("CLIENT UNPAUSE")
        alone.receive()
        transaction.receive()
        transaction.do("EXEC")


def expired(both: Pair, key: str) -> None:
    """Wait until the key has expired on both servers, whose clocks are the same."""
    client = both.client()
    for connection in (client.theirs, client.ours):
        while connection.call("PTTL", key) != b":-2\r\n":
            time.sleep(0.005)


def test_nothing_expires_meanwhile() -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as both:
        control, client, writer = both.client(), both.client(), both.client()
        for command in (
            "CONFIG RESETSTAT", "SET stay 1", "HSET h f v g w", "HPEXPIRE h 1000 FIELDS 1 f", "HSET all f v g w",
            "HPEXPIRE all 1000 FIELDS 2 f g", "SET e 1 PX 1000",
            "SET e2 1 PX 1000", "CLIENT PAUSE 100000 WRITE",
        ):  # fmt: skip
            control.do(command)
        expired(both, "e2")
        for command in (
            "DBSIZE", "GET e", "EXISTS e e2", "TTL e", "TYPE e", "STRLEN e", "MGET e stay", "DUMP e", "HGETALL h",
            "HGET h f", "HKEYS h", "HTTL h FIELDS 2 f g", "HSCAN h 0", "HLEN h", Unordered("HRANDFIELD h 3"),
            Unordered("HRANDFIELD h 3 WITHVALUES"), Shape("HRANDFIELD h -4"), "HLEN all", Shape("HRANDFIELD all"),
            Unordered("HRANDFIELD all 2"), Shape("HRANDFIELD all -3"), "HGETALL all", "HLEN missing",
            "TOUCH e", "MEMORY USAGE missing", "DBSIZE",
            "EVAL_RO \"return redis.call('GET', 'e')\" 0",
        ):  # fmt: skip
            client.do(command)
        told = [parse(connection.call("INFO", "keyspace")).text for connection in (client.theirs, client.ours)]
        assert told[0] == told[1] and b"keys=5,expires=2,avg_ttl=0,subexpiry=2" in told[0]
        writer.send("SET e new NX")
        both.settle(blocked=1)
        control.do("CLIENT UNPAUSE")
        writer.receive()
        for command in ("GET e", "GET e2", "HGETALL h"):
            client.do(command)


def test_what_is_due_is_dumped_whole() -> None:
    """Also a hash of which nothing else is left: its payload is one that can be restored."""
    deadline = int(time.time() * 1000) + 1000
    with pair(cleanup=["CLIENT UNPAUSE"]) as both:
        client = both.client()
        for command in (
            "HSET some f v g w", f"HPEXPIREAT some {deadline} FIELDS 1 f", "HSET all f v",
            f"HPEXPIREAT all {deadline} FIELDS 1 f", f"SET e 1 PXAT {deadline}", "CLIENT PAUSE 100000 WRITE",
        ):  # fmt: skip
            client.do(command)
        expired(both, "e")
        client.do("DUMP e")
        payload = b""
        for name in ("some", "all"):
            payloads = [each.call("DUMP", name).partition(b"\r\n")[2][:-2] for each in (client.theirs, client.ours)]
            theirs, payload = payloads
            assert theirs[:-10] == payload[:-10]  # behind it are the version and the checksum
        client.do("CLIENT UNPAUSE")
        client.do(["RESTORE", "again", "0", payload])
