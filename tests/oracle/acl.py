"""What the tests of users and permissions share."""

import re
from collections.abc import Iterator

import pytest

from tests.oracle.harness import Client, Masked, Pair, pair

GONE = ["ACL DELUSER u v", "ACL LOG RESET", "ACL SETUSER default reset on nopass +@all ~* &*", "FUNCTION FLUSH"]


def masked_log(reply: bytes) -> bytes:
    """ACL LOG without times, and with the part of the client's line that depends on nothing else."""
    reply = re.sub(rb"\$\d+\r\n[^\r]*?\b(cmd=\S+ user=\S+ redir=-1 resp=\d)[^\r]*", rb"\1", reply)
    reply = re.sub(rb"entry-id\r\n:\d+", b"entry-id", reply)
    reply = re.sub(rb":1[789]\d{11}\b", b":time", reply)
    return re.sub(rb"age-seconds\r\n(\$\d+\r\n|,)[0-9.e-]+", b"age", reply)


def log(count: int = 20) -> Masked:
    return Masked(f"ACL LOG {count}", masked_log)


def users(both: Pair, *rules: str, resp: int = 2) -> tuple[Client, Client]:
    """An administrator, and a client logged in as `u` with these rules."""
    admin, client = both.client(), both.client(resp=resp)
    admin.do("ACL LOG RESET")
    admin.do(" ".join(["ACL SETUSER u reset on >p", *rules]))
    assert client.do("AUTH u p") == b"+OK\r\n"
    return admin, client


@pytest.fixture
def left_as_found() -> Iterator[None]:
    yield
    with pair() as both:
        client = both.client()
        for command in GONE:
            client.do(command)
        client.do("CONFIG SET requirepass '' acllog-max-len 128 acl-pubsub-default resetchannels")
