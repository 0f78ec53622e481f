"""Clients of users with limits: logging in, transactions, scripts, waiting, subscribing, and changes meanwhile."""

import re

import pytest

from tests.oracle.acl import left_as_found, log, users
from tests.oracle.harness import CLOSED, SILENT, Masked, Shape, pair, requires
from tests.oracle.wire import encode, split

pytestmark = [requires("8.10"), pytest.mark.usefixtures("left_as_found")]
__all__ = ["left_as_found"]

DELETED = "ACL DELUSER u"
OF_ONESELF = {
    "alone": [DELETED],
    "in a pipeline": ["SET a 1", DELETED, "SET b 2"],
    "in a transaction": ["MULTI", "SET a 1", DELETED, "EXEC", "SET b 2"],
    "early in a transaction": ["MULTI", "SET a 1", DELETED, "SET b 2", "GET a", "EXEC", "PING"],
    "before a script in a transaction": ["MULTI", DELETED, "EVAL \"return redis.call('SET', 'a', '1')\" 0", "EXEC"],
    "and created again": ["MULTI", DELETED, "ACL SETUSER u on nopass +@all ~*", "SET a 1", "EXEC"],
    "but discarded": ["MULTI", DELETED, "DISCARD", "SET b 2"],
    "with a watched key": ["WATCH a", "MULTI", "SET b 1", DELETED, "EXEC"],
    "switched off": ["ACL SETUSER u off", "SET a 1", "ACL WHOAMI"],
    "switched off in a transaction": ["MULTI", "ACL SETUSER u off", "SET a 1", "EXEC", "SET b 2", "ACL WHOAMI"],
    "reset in a transaction": ["MULTI", "ACL SETUSER u reset", "SET a 1", "EXEC", "PING"],
    "denied in a transaction": ["MULTI", "ACL SETUSER u -set", "SET a 1", "GET a", "EXEC", "SET b 2"],
    "denied a key in a transaction": ["MULTI", "ACL SETUSER u resetkeys ~b", "SET a 1", "SET b 2", "EXEC", "SET a 3"],
    "channels revoked in a transaction": [
        "MULTI", "SUBSCRIBE x", "ACL SETUSER u resetchannels", "SET a 1", "EXEC", "PING",
    ],
    "killed in a transaction": ["MULTI", "CLIENT KILL USER u SKIPME no", "SET a 1", "EXEC", "PING"],
    "in a script": ["EVAL \"return redis.pcall('ACL', 'DELUSER', 'u')\" 0", "SET a 1"],
    "switched off in a script": ["EVAL \"return redis.pcall('ACL', 'SETUSER', 'u', 'off')\" 0", "SET a 1"],
}  # fmt: skip
"""What clients do to their own users."""


@pytest.mark.parametrize("requests", OF_ONESELF.values(), ids=OF_ONESELF)
def test_changing_ones_own_user(requests: list[str]) -> None:
    """Redis closes the connection within EXEC's reply, which is complete here; what is executed is the same."""
    sent = b"".join(encode(split(request)) for request in [*requests, "ECHO end"])
    with pair() as both:
        admin, client = users(both, "+@all ~* &*")
        told = []
        for connection in (client.theirs, client.ours):
            connection.send(sent)
            reply, replies = b"", b""
            # The last request is answered, or denied to those who may do nothing any more.
            while reply not in (CLOSED, SILENT) and not reply.endswith((b"end\r\n", b"'echo' command\r\n")):
                reply = connection.receive()
                replies += reply if reply != CLOSED else connection.unfinished()
            told.append((replies, reply == CLOSED))
        (theirs, theirs_closed), (ours, ours_closed) = told
        assert ours_closed == theirs_closed
        assert ours.startswith(theirs) if theirs_closed and "EXEC" in requests else ours == theirs
        for command in ("MGET a b", "ACL USERS", "ACL WHOAMI", log()):
            admin.do(command)


@pytest.mark.parametrize("resp", [2, 3])
def test_logging_in(resp: int) -> None:
    with pair() as both:
        admin, client = users(both, ">q", resp=resp)
        for command in (
            "AUTH u x", "AUTH u q", "AUTH u p", "AUTH nobody p", "AUTH p", "AUTH default x", "ACL WHOAMI", "AUTH u p",
            "AUTH a b c", "HELLO 3 AUTH u x", "HELLO 2 AUTH nobody x", "GET k", "AUTH u ''", "RESET", "GET k",
        ):  # fmt: skip
            client.do(command)
        admin.do("ACL SETUSER u off")
        client.do("AUTH u p")
        admin.do("ACL SETUSER u on nopass")
        client.do("AUTH u whatever")
        client.do("GET k")
        admin.do(log())


def test_switching_off_a_user_leaves_their_clients() -> None:
    with pair() as both:
        admin, client = users(both, "+@all ~*")
        admin.do("ACL SETUSER u off")
        client.do("SET k 1")
        admin.do("ACL SETUSER u -set")
        client.do("SET k 1")
        client.do("GET k")


def test_the_default_user_and_requirepass() -> None:
    with pair() as both:
        admin, old = both.client(), both.client()
        old.do("GET k")
        admin.do("CONFIG SET requirepass secret")
        admin.do("ACL GETUSER default")
        old.do("GET k")
        new, other = both.client(), both.client()
        for command in ("GET k", "ACL WHOAMI", "AUTH secret", "GET k"):
            new.do(command)
        other.do("GET k")
        admin.do("ACL SETUSER default nopass")
        admin.do("CONFIG GET requirepass")
        for command in ("GET k", "AUTH x", "AUTH default x"):
            other.do(command)
        admin.do("ACL SETUSER default >other")
        fresh = both.client()
        for command in ("GET k", "AUTH secret", "AUTH other", "GET k"):
            fresh.do(command)
        admin.do("ACL SETUSER default off")
        for command in ("GET k", "RESET", "GET k", "AUTH other"):
            fresh.do(command)
        admin.do("CONFIG SET requirepass ''")
        admin.do("ACL SETUSER default on -get")
        fresh.do("GET k")
        fresh.do("SET k 1")


def test_transactions() -> None:
    with pair() as both:
        admin, client = users(both, "~k* &c +get +set +publish +multi +exec")
        for command in ("MULTI", "GET x", "GET k", "EXEC", "MULTI", "SET k 1", "GET k2", "GET k", "PUBLISH c x"):
            client.do(command)
        admin.do("ACL SETUSER u resetkeys ~k resetchannels -set")
        client.do("EXEC")
        client.do("MULTI")
        admin.do("ACL SETUSER u -exec")
        client.do("EXEC")
        client.do("GET k")
        admin.do(log())


SCRIPTS = [
    "return redis.call('get','x')",
    "return redis.pcall('get','x')",
    "return redis.pcall('get','x')['err']",
    "return redis.call('get','k')",
    "return redis.call('del','k')",
    "return redis.call('publish','d','x')",
    "return redis.call('publish','c','x')",
    "return redis.call('config','get','x')",
    "return redis.call('auth','x')",
    "return redis.call('nothing')",
    "return redis.call('get')",
    "return redis.acl_check_cmd('get','k')",
    "return redis.acl_check_cmd('get','x')",
    "return redis.acl_check_cmd('del','k')",
    "return redis.acl_check_cmd('config','get','x')",
    "return tostring(redis.acl_check_cmd('get','x'))",
    "return redis.acl_check_cmd('get')",
    "return redis.acl_check_cmd('nothing')",
    "return redis.acl_check_cmd()",
    "redis.call('set','k',1) return redis.call('set','x',1)",
    "return redis.call('sort','k','by','x*')",
    "return redis.call('sort','k','get','#')",
    "return redis.call('eval', 'return 1', 0)",
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_have_their_callers_permissions(script: str) -> None:
    with pair() as both:
        admin, client = users(both, "~k &c +@scripting +get +set +publish +sort +exists")
        client.do(["EVAL", script, 0])
        client.do(["EVAL_RO", script, 0])
        client.do(["EVAL", script, 1, "x"])
        admin.do(["EVAL", script, 0])
        admin.do(log())


def test_functions_have_their_callers_permissions() -> None:
    code = "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call(unpack(args)) end)"
    with pair() as both:
        admin, client = users(both, "~k +fcall +get")
        admin.do(["FUNCTION", "LOAD", code])
        for command in ("FCALL f 0 GET k", "FCALL f 0 GET x", "FCALL f 0 SET k 1", "FCALL f 1 x GET k", "FCALL_RO f 0"):
            client.do(command)
        admin.do("FCALL f 0 SET x 1")
        admin.do(log())


def test_sort_reads_other_keys_only_with_permission_for_all() -> None:
    commands = (
        "SORT k BY x*", "SORT k BY x", "SORT k GET #", "SORT k GET x*", "SORT k GET x", "SORT k STORE x", "SORT x",
        "SORT k STORE k2", "SORT_RO k GET #", "SORT_RO k BY k*", "SORT_RO k BY k", "SORT k BY x* NOTHING",
        "SORT k NOTHING BY x*", "SORT k GET x* STORE k2",
    )  # fmt: skip
    for keys in ("~k*", "%R~* %W~k*", "%R~k* (~* +sort)", "~* (~k* +sort)", "%W~* %R~k*", "allkeys"):
        with pair() as both:
            admin, client = users(both, "+sort +sort_ro", keys)
            admin.do("RPUSH k 2 1")
            for command in commands:
                client.do(command)
            admin.do("DEL k k2 x")


WAITING = ["BLPOP k 0", "BLMOVE k d LEFT LEFT 0", "BLMPOP 0 1 k LEFT", "BZPOPMIN k 0", "XREAD BLOCK 0 STREAMS k $"]
FEEDING = {"BZPOPMIN": "ZADD k 1 a", "XREAD": "XADD k 1-1 f v"}


@pytest.mark.parametrize("change", ["-@all", "resetkeys", "resetkeys ~k", "off"])
@pytest.mark.parametrize("command", WAITING)
def test_a_waiting_client_whose_user_changes(command: str, change: str) -> None:
    with pair() as both:
        admin, client = users(both, "+@all ~*")
        client.send(command)
        both.settle()
        admin.do(f"ACL SETUSER u {change}")
        client.nothing()
        admin.do(FEEDING.get(command.split()[0], "RPUSH k 1"))
        both.settle()
        client.receive()
        client.do("PING")
        admin.do("EXISTS k d")
        admin.do(log())
        admin.do("DEL k d")


def test_a_waiting_client_whose_user_is_deleted() -> None:
    with pair() as both:
        admin, client = users(both, "+@all ~*")
        other = both.client()
        other.send("BLPOP k 0")
        client.send("BLPOP k 0")
        both.settle()
        assert admin.do("ACL DELUSER u nobody") == b":1\r\n"
        assert client.receive() == CLOSED
        admin.do("RPUSH k 1 2")
        other.receive()
        admin.do("LRANGE k 0 -1")
        admin.do("DEL k")


def test_deleting_ones_own_user() -> None:
    with pair() as both:
        _, client = users(both, "+@all ~*")
        client.send("ACL DELUSER u")
        client.receive()
        assert client.receive() == CLOSED


@pytest.mark.parametrize(
    ("subscription", "change", "stays"),
    [
        ("SUBSCRIBE ch", "resetchannels &ch", True),
        ("SUBSCRIBE ch", "resetchannels &c*", True),
        ("SUBSCRIBE ch", "resetchannels &x", False),
        ("SUBSCRIBE ch", "resetchannels (&ch +@all)", True),
        ("SUBSCRIBE ch", "resetchannels", False),
        ("SUBSCRIBE ch", "-@all", True),
        ("PSUBSCRIBE ch*", "resetchannels &ch*", True),
        ("PSUBSCRIBE ch*", "resetchannels &c*", False),
        ("SSUBSCRIBE ch", "resetchannels &ch", True),
        ("SSUBSCRIBE ch", "resetchannels &x", False),
    ],
)
def test_a_subscriber_whose_channels_are_revoked(subscription: str, change: str, stays: bool) -> None:
    with pair() as both:
        admin, client = users(both, "+@all ~* &*")
        client.do(subscription)
        admin.do(f"ACL SETUSER u {change}")
        if stays:
            client.do("PING")
        else:
            assert client.receive(Shape("(the end)")) == CLOSED


@pytest.mark.parametrize("permission", ["&ch", "&c*", "&*", "", "&ch*", "(&ch +@all)"])
@pytest.mark.parametrize(
    "command",
    ["SUBSCRIBE ch", "SUBSCRIBE ch x", "PSUBSCRIBE ch*", "PSUBSCRIBE ch", "SSUBSCRIBE ch", "PUBLISH ch m",
     "SPUBLISH ch m", "UNSUBSCRIBE x", "PUNSUBSCRIBE x", "PUBSUB CHANNELS", "PUBLISH '' m"],
)  # fmt: skip
def test_channels(command: str, permission: str) -> None:
    with pair() as both:
        admin, client = users(both, "+@all", permission)
        admin.do(f"ACL DRYRUN u {command}")
        client.send(command)
        both.settle()
        client.drain()


def test_acl_pubsub_default() -> None:
    with pair() as both:
        client = both.client()
        client.do("CONFIG SET acl-pubsub-default allchannels")
        for command in ("ACL SETUSER u (+get)", "ACL SETUSER u &a", "ACL SETUSER u resetchannels reset", "ACL LIST"):
            client.do(command)
        client.do("CONFIG SET acl-pubsub-default resetchannels")
        for command in ("ACL SETUSER v (+get)", "ACL SETUSER u (+set)", "ACL SETUSER u reset", "ACL LIST"):
            client.do(command)


def test_the_users_name_among_clients() -> None:
    def named(reply: bytes) -> bytes:
        return b" ".join(sorted(re.findall(rb"user=(\S+)", reply)))

    with pair() as both:
        admin, client = users(both, "+@all ~*")
        client.do(Masked("CLIENT INFO", named))
        admin.do("CLIENT KILL USER nobody")
        admin.do("CLIENT KILL USER nobody ID x")
        admin.do("CLIENT KILL USER u")
        assert client.receive(Shape("(the end)")) == CLOSED


def test_a_user_without_any_permission() -> None:
    with pair() as both:
        _, client = users(both)
        for command in ("PING", "GET k", "NOTHING", "HELLO", "AUTH u x", "ACL WHOAMI", "MULTI", "EXEC", "DISCARD"):
            client.do(Masked(command, lambda reply: reply[:8]) if command == "HELLO" else command)
        client.do("RESET")
        client.do("PING")
        client.do("AUTH u p")
        client.do("QUIT")
