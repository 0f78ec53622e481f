"""XGROUP beside redis-server."""

from tests.oracle.harness import Skip, requires, same
from tests.oracle.test_stream_consume import full

pytestmark = requires("8.8")

SETUP = [f"XADD s {n} f v" for n in range(1, 6)]


def test_making_groups() -> None:
    same(
        [
            "XGROUP CREATE s g 0",
            "XGROUP CREATE s g $ MKSTREAM",
            "XGROUP CREATE s g $ MKSTREAM",
            "TYPE s",
            *SETUP,
            "XGROUP CREATE s g 0",
            "XGROUP CREATE s h 3",
            "XGROUP CREATE s i $",
            "XGROUP CREATE s j 2-5 ENTRIESREAD 2",
            "XGROUP CREATE s k 2 ENTRIESREAD 99 MKSTREAM",
            "XGROUP CREATE s l 2 ENTRIESREAD -1",
            "XGROUP CREATE s m 99",
            "XGROUP CREATE s n 2 ENTRIESREAD 1 ENTRIESREAD 2",
            'XGROUP CREATE s "" 0',
            full("s"),
            "XINFO GROUPS s",
        ]
    )


def test_errors_of_making_groups() -> None:
    same(
        [
            *SETUP,
            "XGROUP",
            "XGROUP CREATE",
            "XGROUP CREATE s",
            "XGROUP CREATE s g",
            "XGROUP CREATE s g x",
            "XGROUP CREATE s g -",
            "XGROUP CREATE s g +",
            "XGROUP CREATE s g *",
            "XGROUP CREATE t g x",
            "XGROUP CREATE t g x MKSTREAM",
            "EXISTS t",
            "XGROUP CREATE s g 0 FOO",
            "XGROUP CREATE s g 0 ENTRIESREAD",
            "XGROUP CREATE s g 0 ENTRIESREAD x",
            "XGROUP CREATE s g 0 ENTRIESREAD -2",
            "XGROUP CREATE s g 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM",
            "XGROUP CREATE t g 0 ENTRIESREAD x",
            "XGROUP CREATE t g 0 MKSTREAM MKSTREAM MKSTREAM MKSTREAM",
            "EXISTS t",
            "XGROUP FOO s g",
            "XGROUP FOO",
            "XGROUP create s g 0",
            "SET k v",
            "XGROUP CREATE k g 0 MKSTREAM",
            "XGROUP CREATE k g 0 FOO",
            "XGROUP SETID k g 0",
            "XGROUP DESTROY k g",
            "XGROUP CREATECONSUMER k g c",
            "XGROUP DELCONSUMER k g c",
            Skip("XGROUP HELP"),
            "XGROUP HELP x",
        ]
    )


def test_setting_and_destroying() -> None:
    same(
        [
            "XGROUP SETID s g 0",
            "XGROUP DESTROY s g",
            *SETUP,
            "XGROUP SETID s g 0",
            "XGROUP DESTROY s g",
            "XGROUP CREATE s g 0",
            "XGROUP SETID s g 3",
            "XINFO GROUPS s",
            "XGROUP SETID s g $",
            "XINFO GROUPS s",
            "XGROUP SETID s g - ENTRIESREAD 3",
            "XINFO GROUPS s",
            "XGROUP SETID s g + ENTRIESREAD 33",
            "XINFO GROUPS s",
            "XGROUP SETID s g x",
            "XGROUP SETID s g 1 MKSTREAM",
            "XGROUP SETID s g 1 ENTRIESREAD",
            "XGROUP SETID s g 1 ENTRIESREAD x",
            "XGROUP SETID s g 1 ENTRIESREAD 1 ENTRIESREAD 2",
            "XGROUP SETID s g",
            "XGROUP DESTROY s",
            "XGROUP DESTROY s g x",
            "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
            "XGROUP DESTROY s g",
            "XGROUP DESTROY s g",
            full("s"),
        ]
    )


def test_consumers() -> None:
    same(
        [
            "XGROUP CREATECONSUMER s g c",
            *SETUP,
            "XGROUP CREATECONSUMER s g c",
            "XGROUP DELCONSUMER s g c",
            "XGROUP CREATE s g 0",
            "XGROUP CREATECONSUMER s g c",
            "XGROUP CREATECONSUMER s g c",
            'XGROUP CREATECONSUMER s g ""',
            "XREADGROUP GROUP g c COUNT 3 STREAMS s >",
            "XREADGROUP GROUP g d COUNT 1 STREAMS s >",
            "XGROUP DELCONSUMER s g c",
            "XGROUP DELCONSUMER s g c",
            full("s"),
            "XGROUP CREATECONSUMER s g",
            "XGROUP DELCONSUMER s g",
        ]
    )
