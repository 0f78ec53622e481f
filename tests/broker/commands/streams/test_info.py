"""XINFO beyond what the comparison with redis-server shows."""

from tests.broker.direct import Client
from tests.broker.sessions import make_broker


def test_help_names_the_subcommands() -> None:
    client = Client(make_broker())
    for command, words in (("XINFO HELP", (b"CONSUMERS", b"STREAM")), ("XGROUP HELP", (b"SETID", b"DESTROY"))):
        reply = client.do(command)
        assert all(word in reply for word in words)


def test_pages_of_pending_entries() -> None:
    client = Client(make_broker())
    client.do("XGROUP CREATE s g 0 MKSTREAM")
    for n in range(1, 41):
        client.do(f"XADD s {n} f v")
    client.do("XREADGROUP GROUP g c STREAMS s >")
    for n in range(2, 40):
        client.do(f"XACK s g {n}")
    assert client.do("XPENDING s g") == (b"*4\r\n:2\r\n$3\r\n1-0\r\n$4\r\n40-0\r\n*1\r\n*2\r\n$1\r\nc\r\n$1\r\n2\r\n")
    assert client.do("XPENDING s g (1 + 5").startswith(b"*1\r\n*4\r\n$4\r\n40-0\r\n")
