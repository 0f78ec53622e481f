"""XCLAIM and XAUTOCLAIM beside redis-server."""

from tests.oracle.harness import Loose, requires, same
from tests.oracle.test_stream_consume import full

pytestmark = requires("8.10")

SETUP = [
    *[f"XADD s {n} f v{n}" for n in range(1, 31)],
    "XGROUP CREATE s g 0",
    "XREADGROUP GROUP g a COUNT 20 STREAMS s >",
]


def test_claiming() -> None:
    same(
        [
            *SETUP,
            "XCLAIM s g b 0 1 2 3",
            "XCLAIM s g b 0 1 2 3 JUSTID",
            "XCLAIM s g b 99999 4",
            "XCLAIM s g b -5 4",
            "XCLAIM s g b 0 5 IDLE 3000",
            "XCLAIM s g c 2000 5 6",
            "XCLAIM s g c 0 7 TIME 12345 RETRYCOUNT 9",
            "XCLAIM s g c 0 8 RETRYCOUNT -9",
            "XCLAIM s g c 0 8 TIME 99999999999999 JUSTID RETRYCOUNT 0",
            "XCLAIM s g c 0 8 IDLE -5",
            "XCLAIM s g c 0 8 IDLE 99999999999999",
            "XCLAIM s g c 0 25",
            "XCLAIM s g c 0 25 FORCE",
            "XCLAIM s g c 0 26 FORCE JUSTID",
            "XCLAIM s g c 0 77 FORCE",
            "XCLAIM s g c 0 1 1 1",
            "XDEL s 9",
            "XCLAIM s g c 0 9 10",
            "XCLAIM s g d 0 99",
            "XCLAIM s g d 0 11 LASTID 28",
            "XCLAIM s g d 0 11 LASTID 5",
            "XCLAIM s g d 99999 12 LASTID 29",
            full("s"),
            Loose("XPENDING s g - + 99", 100),
            "XREADGROUP GROUP g a STREAMS s >",
        ]
    )


def test_errors_of_claiming() -> None:
    same(
        [
            "XCLAIM s g b 0 1",
            *SETUP,
            "XCLAIM s h b 0 1",
            "XCLAIM s g b x 1",
            "XCLAIM s g b 0 x",
            "XCLAIM s g b 0 1 FOO",
            "XCLAIM s g b 0 1 FORCE 2",
            "XCLAIM s g b 0 1 IDLE",
            "XCLAIM s g b 0 1 IDLE x",
            "XCLAIM s g b 0 1 TIME x",
            "XCLAIM s g b 0 1 RETRYCOUNT x",
            "XCLAIM s g b 0 1 LASTID x",
            "XCLAIM s g b 0 JUSTID",
            "XCLAIM s g",
            "SET k v",
            "XCLAIM k g b 0 1",
            "XCLAIM k g b x 1",
            full("s"),
        ]
    )


def test_claiming_automatically() -> None:
    same(
        [
            *SETUP,
            "XAUTOCLAIM s g b 99999 0",
            "XAUTOCLAIM s g b 0 0 COUNT 3",
            "XAUTOCLAIM s g b 0 (3 COUNT 3 JUSTID",
            "XAUTOCLAIM s g b 0 - COUNT 1",
            "XAUTOCLAIM s g b 0 + COUNT 1",
            "XAUTOCLAIM s g b -3 15",
            "XDEL s 2 4 5 18",
            "XAUTOCLAIM s g c 0 0 COUNT 3",
            "XAUTOCLAIM s g c 0 0 COUNT 4 JUSTID",
            "XAUTOCLAIM s g c 0 15",
            "XCLAIM s g a 0 1 10 IDLE 5000 JUSTID",
            "XAUTOCLAIM s g d 4000 0 COUNT 1",
            "XAUTOCLAIM s g d 4000 1-1 COUNT 1",
            "XAUTOCLAIM s g d 4000 11 COUNT 1",
            full("s"),
        ]
    )


def test_attempts_are_bounded() -> None:
    same(
        [
            *[f"XADD s {n} f v" for n in range(1, 60)],
            "XGROUP CREATE s g 0",
            "XREADGROUP GROUP g a STREAMS s >",
            "XCLAIM s g a 0 45 IDLE 5000 JUSTID",
            "XAUTOCLAIM s g b 4000 0 COUNT 1",
            "XAUTOCLAIM s g b 4000 11 COUNT 2",
            "XAUTOCLAIM s g b 4000 31 COUNT 2",
            "XAUTOCLAIM s g b 4000 31 COUNT 3",
        ]
    )


def test_errors_of_claiming_automatically() -> None:
    same(
        [
            "XAUTOCLAIM s g b 0 0",
            *SETUP,
            "XAUTOCLAIM s h b 0 0",
            "XAUTOCLAIM s g b x 0",
            "XAUTOCLAIM s g b 0 x",
            "XAUTOCLAIM s g b 0 (18446744073709551615-18446744073709551615",
            "XAUTOCLAIM s g b 0 0 COUNT",
            "XAUTOCLAIM s g b 0 0 COUNT 0",
            "XAUTOCLAIM s g b 0 0 COUNT x",
            "XAUTOCLAIM s g b 0 0 COUNT 576460752303423488",
            "XAUTOCLAIM s g b 0 0 FOO",
            "XAUTOCLAIM s g b 0",
            "XAUTOCLAIM nokey g b 0 0 COUNT 0",
            "SET k v",
            "XAUTOCLAIM k g b 0 0",
            "XAUTOCLAIM k g b x 0",
        ]
    )
