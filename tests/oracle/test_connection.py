"""Connection commands beside the reference."""

import re

import pytest

from tests.oracle.harness import Masked, Raw, Step, pair, same


def without_server(reply: bytes) -> bytes:
    """HELLO's reply without the version and the client's ID."""
    reply = re.sub(rb"\$\d+\r\n8\.\d+\.\d+\r\n", b"<version>", reply)
    reply = re.sub(rb"(\$2\r\nid\r\n):\d+", rb"\1:0", reply)
    # The reference has its vector sets built in as a module.
    return re.sub(rb"(\$7\r\nmodules\r\n).*", rb"\1", reply, flags=re.DOTALL)


@pytest.mark.parametrize(
    "command",
    [
        "PING",
        "PING hello",
        "PING a b",
        "ping",
        ["PING", b"\r\n\x00"],
        "ECHO x",
        "ECHO",
        "ECHO a b",
        "SELECT 0",
        "SELECT 15",
        "SELECT 16",
        "SELECT -1",
        "SELECT x",
        "SELECT 01",
        "SELECT 2147483648",
        "SELECT 99999999999999999999",
        "SELECT",
        "AUTH x",
        "AUTH default anything",
        "AUTH nobody x",
        "AUTH a b c",
        "AUTH",
        "RESET",
        "RESET x",
        "HELLO 1",
        "HELLO 4",
        "HELLO x",
        "HELLO 3 FOO",
        "HELLO 3 AUTH a",
        "HELLO 3 AUTH nobody x",
        "HELLO 3 SETNAME",
        'HELLO 3 SETNAME "a b"',
        'HELLO 3 SETNAME "a b" FOO',
        "HELLO 3 FOO SETNAME x",
        "HELLO 02",
        "CLIENT",
        "CLIENT NOTHING",
        "CLIENT NOTHING x y",
        ["CLIENT", b"a\r\nb"],
        "NOTHING",
        "NOTHING a b",
    ],
)
def test_one_command(command: str | list[str | bytes]) -> None:
    same([command, "PING"])  # type: ignore[list-item]


def test_hello_and_what_it_changes() -> None:
    same(
        [
            Masked("HELLO", without_server),
            Masked("HELLO 3 SETNAME me", without_server),
            "CLIENT GETNAME",
            "GET missing",
            Masked("hello 2 setname you auth default x", without_server),
            "GET missing",
            "CLIENT GETNAME",
            Masked(["HELLO", "3", "SETNAME", ""], without_server),
            "CLIENT GETNAME",
        ]
    )


def test_a_failed_hello_changes_nothing() -> None:
    same(["CLIENT SETNAME before", "HELLO 3 SETNAME after AUTH nobody x", "GET missing", "CLIENT GETNAME"])


def test_quit_closes_after_its_reply() -> None:
    same(["QUIT", "PING"])
    same(["QUIT now please", "PING"])
    same(["MULTI", "QUIT", "PING"])


def test_reset() -> None:
    same(
        [
            Masked("HELLO 3", without_server),
            "SELECT 3",
            "CLIENT SETNAME x",
            "CLIENT SETINFO LIB-NAME lib",
            "RESET",
            "CLIENT GETNAME",
            "GET missing",
            "SET k v",
            "SELECT 0",
            "GET k",
        ]
    )


def test_reset_leaves_a_transaction_and_subscriptions() -> None:
    same(["MULTI", "SET k v", "RESET", "EXEC", "GET k"])
    with pair() as both:
        client = both.client()
        client.do("SUBSCRIBE a b")
        client.do("PING")
        client.do("PING x")
        client.do("GET k")
        client.do("ECHO x")
        client.do("RESET")
        client.do("GET k")
        both.client().do("PUBLISH a x")
        client.nothing()


def test_ping_of_a_resp3_subscriber() -> None:
    with pair() as both:
        client = both.client(resp=3)
        client.do("SUBSCRIBE a")
        client.do("PING")
        client.do("PING x")


def test_hello_2_by_a_resp3_subscriber() -> None:
    with pair() as both:
        client = both.client(resp=3)
        client.do("SUBSCRIBE a")
        client.do("GET k")
        client.do(Masked("HELLO 2", without_server))
        client.do("GET k")
        client.do("PING")


def test_a_password() -> None:
    cleanup = ["CONFIG SET requirepass ''"]
    with pair() as both:
        first = both.client()
        first.do("CONFIG SET requirepass secret")
        try:
            other = both.client()
            for command in (
                "PING",
                "GET k",
                "NOTHING",
                "GET",
                "HELLO",
                "HELLO 3",
                "HELLO 3 AUTH default wrong",
                "AUTH wrong",
                "AUTH default wrong",
                "MULTI",
                "CLIENT GETNAME",
                "RESET",
                "AUTH secret",
                "PING",
                "RESET",
                "PING",
                "AUTH default secret",
                "GET k",
            ):
                other.do(command)
            third = both.client()
            third.do(Masked("HELLO 3 AUTH default secret SETNAME x", without_server))
            third.do("CLIENT GETNAME")
            both.client().do("QUIT")
            first.do("PING")
        finally:
            first.do(cleanup[0])
        both.client().do("AUTH secret")


def test_inline_forms() -> None:
    same([Raw(b"PING\r\n"), Raw(b'ECHO "a b"\r\n'), Raw(b"\r\nPING\r\n"), Raw(b"NOTHING\r\n"), Step("PING")])
