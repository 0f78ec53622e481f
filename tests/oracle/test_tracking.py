"""CLIENT TRACKING beside redis-server: its options, their errors, and how long CLIENT CACHING holds."""

from collections.abc import Sequence

import pytest

from tests.oracle.harness import Each, Masked, pair, requires, same
from tests.oracle.tracked import ids, redirected, states, tell, totals

pytestmark = requires("8.10")


def test_options_and_what_is_wrong_with_them() -> None:
    same(
        [
            "CLIENT TRACKING",
            "CLIENT TRACKING maybe",
            "CLIENT TRACKING maybe OPTIN",
            "CLIENT TRACKING on nonsense",
            "CLIENT TRACKING off nonsense",
            "CLIENT TRACKING on PREFIX",
            "CLIENT TRACKING on PREFIX a",
            "CLIENT TRACKING off PREFIX a",
            "CLIENT TRACKING on REDIRECT",
            "CLIENT TRACKING on REDIRECT x",
            "CLIENT TRACKING on REDIRECT 0",
            "CLIENT TRACKING on REDIRECT -1",
            "CLIENT TRACKING on REDIRECT 99999999",
            "CLIENT TRACKING maybe REDIRECT 99999999",
            "CLIENT TRACKING on BCAST OPTIN",
            "CLIENT TRACKING on BCAST OPTOUT PREFIX a PREFIX a",
            "CLIENT TRACKING on OPTIN OPTOUT",
            "CLIENT TRACKING on optin OPTOUT PREFIX x",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKINGINFO x",
            "CLIENT GETREDIR",
            "CLIENT GETREDIR x",
            "CLIENT TRACKING ON OPTIN OPTIN NOLOOP NOLOOP",
            "CLIENT TRACKINGINFO",
            "CLIENT GETREDIR",
            "CLIENT TRACKING on OPTOUT",
            "CLIENT TRACKING on BCAST",
            "CLIENT TRACKING on BCAST OPTIN",
            "CLIENT TRACKING on",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING on OPTOUT",
            "CLIENT TRACKING on OPTIN",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING off",
            "CLIENT TRACKING off",
            "CLIENT TRACKINGINFO",
        ]
    )


def test_a_client_redirects_to_one_other() -> None:
    with pair(mask=ids) as p:
        client, receiver = p.client(3), p.client()
        theirs, ours = receiver.ids
        client.do(Each(*(f"CLIENT TRACKING on REDIRECT {n} REDIRECT {n}" for n in (theirs, ours))))
        client.do(Each(*(f"CLIENT TRACKING on REDIRECT {n} REDIRECT x" for n in (theirs, ours))))
        client.do(Each(*(f"CLIENT TRACKING on REDIRECT {n} REDIRECT" for n in (theirs, ours))))
        client.do(redirected(receiver, "NOLOOP"))
        states(client)
        states(receiver)
        client.do("CLIENT TRACKING on")
        states(client)


def test_prefixes_must_not_overlap() -> None:
    same(
        [
            "CLIENT TRACKING on BCAST PREFIX a PREFIX ab",
            "CLIENT TRACKING on BCAST PREFIX ab PREFIX a",
            "CLIENT TRACKING on BCAST PREFIX a PREFIX a",
            "CLIENT TRACKING on BCAST PREFIX a PREFIX b PREFIX bc",
            "CLIENT TRACKING on BCAST PREFIX a PREFIX ''",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING on BCAST PREFIX c PREFIX a PREFIX b",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING on BCAST PREFIX abc",
            "CLIENT TRACKING on BCAST PREFIX d PREFIX b",
            "CLIENT TRACKING on BCAST PREFIX ''",
            "CLIENT TRACKING on",
            "CLIENT TRACKING on BCAST PREFIX d NOLOOP",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING on BCAST",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING on BCAST PREFIX x",
            "CLIENT TRACKING on BCAST",
            "CLIENT TRACKING off BCAST",
            "CLIENT TRACKINGINFO",
            ["CLIENT", "TRACKING", "on", "BCAST", "PREFIX", b"x\r\ny", "PREFIX", b"x"],
            ["CLIENT", "TRACKING", "on", "BCAST", "PREFIX", b"\xff\0y", "PREFIX", b"\xff\0"],
        ]
    )


def test_caching_belongs_to_optin_and_optout() -> None:
    same(
        [
            "CLIENT CACHING",
            "CLIENT CACHING yes",
            "CLIENT CACHING maybe",
            "CLIENT TRACKING on",
            "CLIENT CACHING yes",
            "CLIENT CACHING no",
            "CLIENT CACHING maybe",
            "CLIENT CACHING yes yes",
            "CLIENT TRACKING on OPTIN",
            "CLIENT CACHING no",
            "CLIENT CACHING YES",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING off",
            "CLIENT TRACKING on OPTOUT",
            "CLIENT CACHING yes",
            "CLIENT CACHING NO",
            "CLIENT TRACKINGINFO",
            "PING",
            "CLIENT TRACKINGINFO",
        ]
    )


BETWEEN = (
    "CLIENT HELP",
    "CLIENT SETNAME x",
    "CLIENT SETINFO LIB-NAME x",
    "CLIENT TRACKING on OPTIN",
    "CLIENT TRACKING on",
    "CLIENT CACHING no",
    "CLIENT CACHING nonsense",
    "CLIENT GETREDIR x",
    "CLIENT NONSENSE",
    "CLIENT",
    "CLIENT NO-EVICT off",
    "client getname",
    "PING",
    "NONSENSE",
    "GET",
    "MULTI",
)


@pytest.mark.parametrize("between", BETWEEN)
def test_how_long_caching_holds(between: str) -> None:
    with pair() as p:
        client = p.client(3)
        client.do("CLIENT TRACKING on OPTIN")
        client.do("CLIENT CACHING yes")
        client.do(Masked(between, lambda reply: reply[:1]))
        client.do("CLIENT TRACKINGINFO")
        client.do("GET k")
        if between == "MULTI":
            client.do("GET m")
            client.do("EXEC")
        client.do("CLIENT TRACKINGINFO")
        totals(client)


def test_caching_in_a_transaction() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("CLIENT TRACKING on OPTIN")
        scripts: Sequence[Sequence[str]] = (
            ("CLIENT CACHING yes", "MULTI", "GET a", "GET b", "CLIENT TRACKINGINFO", "EXEC", "GET c"),
            ("MULTI", "GET a", "CLIENT CACHING yes", "GET b", "GET c", "EXEC", "GET d"),
            ("CLIENT CACHING yes", "MULTI", "GET x", "DISCARD", "GET y"),
            ("CLIENT CACHING yes", "MULTI", "NONSENSE", "EXEC", "GET y"),
            ("CLIENT CACHING yes", "EVAL \"redis.call('get', 's') return redis.call('get', 't')\" 0", "GET y"),
        )
        for script in scripts:
            for command in script:
                client.do(command)
            client.do("CLIENT TRACKINGINFO")
            totals(client)
            tell(p, "MSET a 1 b 1 c 1 d 1 s 1 t 1 x 1 y 1")
            client.drain()
