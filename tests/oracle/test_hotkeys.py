"""HOTKEYS beside the reference: its errors, and the bytes that it attributes to keys, which are exact."""

import re

import pytest

from tests.oracle.harness import Command, Masked, Skip, pair, requires, same

pytestmark = requires("8.10")

STOP: list[Command] = ["HOTKEYS STOP", "HOTKEYS RESET"]


def without_times(reply: bytes) -> bytes:
    """A reply without the times in it, and without the keys by time, whose order is a matter of luck."""
    reply = re.sub(rb"(-(?:u?ms|us)\r\n):\d+", rb"\1:0", reply)
    return re.sub(rb"(by-cpu-time-us\r\n)\*\d+\r\n(?:\$\d+\r\n\w+\r\n:\d+\r\n)*", rb"\1", reply)


GET = Masked("HOTKEYS GET", without_times)


@pytest.mark.parametrize("options", [
    "", "FOO", "COUNT 3 METRICS 1 CPU", "METRICS", "METRICS 1", "METRICS 0 CPU", "METRICS -1 CPU", "METRICS x CPU",
    "METRICS 01 CPU", "METRICS 3 CPU NET CPU", "METRICS 2 CPU CPU", "METRICS 2 NET NET", "METRICS 2 CPU",
    "METRICS 1 CPU NET", "METRICS 1 FOO", "METRICS 2 FOO BAR", "METRICS 2 CPU FOO", "METRICS 2 CPU COUNT 3",
    "METRICS 1 CPU METRICS 1 NET", "metrics 1 cpu count 64 duration 1000000 sample 2147483647",
    "METRICS 1 CPU COUNT 0", "METRICS 1 CPU COUNT 65", "METRICS 1 CPU COUNT x", "METRICS 1 CPU COUNT",
    "METRICS 1 CPU COUNT 3 FOO", "METRICS 1 CPU COUNT 3 COUNT 4", "METRICS 1 CPU COUNT 99 SAMPLE 0",
    "METRICS 1 CPU DURATION", "METRICS 1 CPU DURATION 0", "METRICS 1 CPU DURATION 1000001",
    "METRICS 1 CPU SAMPLE", "METRICS 1 CPU SAMPLE 0", "METRICS 1 CPU SAMPLE 2147483648",
    "METRICS 1 CPU SLOTS", "METRICS 1 CPU SLOTS 1 0", "METRICS 1 CPU SLOTS x", "METRICS 1 CPU FOO",
])  # fmt: skip
def test_start(options: str) -> None:
    same([f"HOTKEYS START {options}", GET, *STOP], cleanup=STOP)


def test_the_order_of_subcommands() -> None:
    same([
        "HOTKEYS", "HOTKEYS FOO", "HOTKEYS GET x", "HOTKEYS STOP x", "HOTKEYS RESET x", "HOTKEYS HELP x",
        "HOTKEYS GET", "HOTKEYS STOP", "HOTKEYS RESET", "HOTKEYS START METRICS 1 NET", "HOTKEYS START", "HOTKEYS RESET",
        "HOTKEYS STOP", "HOTKEYS STOP", GET, "HOTKEYS RESET", "HOTKEYS RESET", "HOTKEYS GET",
    ], cleanup=STOP)  # fmt: skip


@pytest.mark.parametrize("script", [
    ["SET foo bar", "GET foo", "PING"],
    ["MSET a 1 b 22 foo 333", "SET foo x", "GET b", "GET b"],
    ["SET foo bar", "LPUSH foo x", "GET", "NOSUCH foo"],
    ["MULTI", "SET a x", "DISCARD"],
    [["EVAL", "redis.call('set', KEYS[1], 'v') redis.call('set', 'other', 'v') return 1", "1", "a"]],
    ["SPUBLISH channel x", "WATCH w", "UNWATCH", "XREAD STREAMS stream 0", "SORT list BY no*", "OBJECT ENCODING a"],
    ["SET a 1 EX 100", "GETEX a PERSIST", "GETDEL a", "GET a"],
    ["MSET a 1 b 22 a 1", "GET b"],
])  # fmt: skip
def test_bytes_by_key(script: list[Command]) -> None:
    same(["HOTKEYS START METRICS 2 CPU NET", *script, GET, "HOTKEYS STOP", GET, "HOTKEYS RESET"], cleanup=STOP)


def test_as_many_keys_as_asked_for() -> None:
    writes: list[Command] = [f"SET key{i} {'x' * i}" for i in (3, 1, 4, 9, 2, 6)]
    same(["HOTKEYS START METRICS 1 NET COUNT 3", *writes, GET], cleanup=STOP)


def test_a_sample() -> None:
    same(["HOTKEYS START METRICS 1 NET SAMPLE 2147483647", "SET foo bar", "MSET a 1 b 2", GET], cleanup=STOP)


def test_a_measurement_that_a_transaction_begins() -> None:
    def without_sizes(reply: bytes) -> bytes:
        """In a transaction, the reference counts the replies to earlier commands again for each of the later ones."""
        return re.sub(rb"(net-bytes[a-z-]*|foo)\r\n:\d+", rb"\1\r\n:0", without_times(reply))

    start = "HOTKEYS START METRICS 1 NET"
    same(["MULTI", start, "SET foo bar", "HOTKEYS GET", Masked("EXEC", without_sizes)], cleanup=STOP)


def test_replies_that_are_not_sent_cost_nothing() -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        client.do("HOTKEYS START METRICS 1 NET")
        other.send("CLIENT REPLY OFF")
        other.send("SET foo bar")
        p.settle()
        client.do(GET)
        client.do("HOTKEYS STOP")
        client.do("HOTKEYS RESET")


def test_a_request_that_waits_is_not_measured() -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        client.do("DEL list")
        client.do("HOTKEYS START METRICS 1 NET")
        other.send("BLPOP list 0")
        p.settle()
        client.do("RPUSH list element")
        other.receive()
        client.do(GET)
        client.do("HOTKEYS STOP")
        client.do("HOTKEYS RESET")


def test_info() -> None:
    same([
        "INFO hotkeys", "HOTKEYS START METRICS 1 CPU", "INFO hotkeys", "SET foo bar", "HOTKEYS STOP", "INFO hotkeys",
        "HOTKEYS RESET", "INFO hotkeys", Skip("PING"),
    ], cleanup=STOP)  # fmt: skip
