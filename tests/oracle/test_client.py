"""CLIENT beside the reference."""

import pytest

from tests.oracle import servers
from tests.oracle.harness import CLOSED, Client, Each, Loose, Raw, Shape, Skip, Step, pair, same
from tests.oracle.wire import parse

SAME_VALUES = (
    b"name", b"age", b"idle", b"flags", b"db", b"sub", b"psub", b"ssub", b"multi", b"watch", b"events", b"cmd",
    b"user", b"redir", b"resp", b"lib-name", b"lib-ver", b"io-thread",
    b"tot-cmds", b"qbuf", b"argv-mem", b"multi-mem", b"oll", b"omem", b"omem-shared", b"omem-unshared", b"tot-net-in",
    b"read-events", b"avg-pipeline-len-sum", b"avg-pipeline-len-cnt",
)  # fmt: skip


def fields(line: bytes) -> dict[bytes, bytes]:
    return dict(field.split(b"=", 1) for field in line.split(b" "))  # type: ignore[misc]


@pytest.mark.parametrize(
    "command",
    [
        "CLIENT ID x",
        "CLIENT GETNAME",
        "CLIENT GETNAME x",
        "CLIENT SETNAME",
        "CLIENT SETNAME a",
        'CLIENT SETNAME "a b"',
        ["CLIENT", "SETNAME", b"\xff"],
        ["CLIENT", "SETNAME", ""],
        "CLIENT SETINFO",
        "CLIENT SETINFO LIB-NAME",
        "CLIENT SETINFO LIB-NAME redis-py",
        ["CLIENT", "SETINFO", "LIB-NAME", ""],
        'CLIENT SETINFO lib-NAME "a b"',
        'CLIENT SETINFO lib-ver "a\\n"',
        "CLIENT SETINFO foo bar",
        "CLIENT LIST TYPE nothing",
        "CLIENT LIST TYPE",
        "CLIENT LIST ID",
        "CLIENT LIST ID x",
        "CLIENT LIST ID 999999 x",
        "CLIENT LIST ID 999999",
        "CLIENT LIST foo",
        "CLIENT LIST foo bar",
        "CLIENT LIST TYPE master",
        "CLIENT INFO x",
        "CLIENT KILL",
        "CLIENT KILL 1.2.3.4:5",
        "CLIENT KILL ID",
        "CLIENT KILL ID 0",
        "CLIENT KILL ID -1",
        "CLIENT KILL ID x",
        "CLIENT KILL ID 999999",
        "CLIENT KILL ID 999999 SKIPME",
        "CLIENT KILL ID 999999 SKIPME maybe",
        "CLIENT KILL ID 999999 SKIPME no",
        "CLIENT KILL TYPE nothing",
        "CLIENT KILL TYPE master",
        "CLIENT KILL TYPE nothing ID x",
        "CLIENT KILL USER nobody",
        "CLIENT KILL ADDR 1.2.3.4:5",
        "CLIENT KILL LADDR 1.2.3.4:5",
        "CLIENT KILL MAXAGE 0",
        "CLIENT KILL MAXAGE x",
        "CLIENT KILL MAXAGE 999999",
        "CLIENT KILL foo bar",
        "CLIENT KILL foo bar baz",
        "CLIENT KILL ADDR 1.2.3.4:5 foo",
        "CLIENT REPLY foo",
        "CLIENT REPLY ON",
        "CLIENT REPLY",
        "CLIENT PAUSE",
        "CLIENT PAUSE x",
        "CLIENT PAUSE -1",
        "CLIENT PAUSE x foo",
        "CLIENT PAUSE 1 foo",
        "CLIENT PAUSE 9223372036854775807",
        "CLIENT PAUSE 1 all x",
        "CLIENT PAUSE 0",
        "CLIENT UNPAUSE",
        "CLIENT UNPAUSE x",
        "CLIENT UNBLOCK",
        "CLIENT UNBLOCK x",
        "CLIENT UNBLOCK x foo",
        "CLIENT UNBLOCK 999999",
        "CLIENT UNBLOCK 999999 ERROR",
        "CLIENT unblock 1 timeout 2",
        "CLIENT NO-EVICT",
        "CLIENT NO-EVICT on",
        "CLIENT NO-EVICT off",
        "CLIENT NO-EVICT foo",
        "CLIENT NO-TOUCH on",
        "CLIENT NO-TOUCH foo",
        "CLIENT MAINT_NOTIFICATIONS ON",
        "CLIENT HELP x",
    ],
)
def test_one_command(command: str | list[str | bytes]) -> None:
    same([command, "CLIENT GETNAME"])  # type: ignore[list-item]


def test_id() -> None:
    same([Loose("CLIENT ID", within=10**9), Shape("CLIENT INFO"), Shape("CLIENT LIST"), Skip("CLIENT HELP")])


def both_lines(client: Client, command: str) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """The fields of the last line that each server answers."""
    replies = (connection.call(*command.split()) for connection in (client.theirs, client.ours))
    theirs, ours = (fields(parse(reply).text.removeprefix(b"txt:").splitlines()[-1]) for reply in replies)
    return theirs, ours


@pytest.mark.parametrize("resp", [2, 3])
def test_the_fields_of_a_line(resp: int) -> None:
    with pair() as both:
        client = both.client(resp=resp)
        for command in ("SELECT 3", "CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME lib", "CLIENT NO-TOUCH ON"):
            client.do(command)
        for command in ("CLIENT INFO", "CLIENT LIST"):
            theirs, ours = both_lines(client, command)
            assert list(theirs) == list(ours)
            for name in SAME_VALUES:
                assert (name, ours[name]) == (name, theirs[name])


def test_flags_of_states() -> None:
    with pair() as both:
        watcher, client = both.client(), both.client(resp=3)
        for command in ("SUBSCRIBE a b", "PSUBSCRIBE c", "SSUBSCRIBE d", "WATCH k l"):
            client.do(command)
        for command in ("MULTI", "PING", "PING"):
            client.do(command)
        ids = client_ids(watcher)
        for number in range(2):
            theirs, ours = (
                fields(parse(connection.call("CLIENT", "LIST", "ID", str(client_id))).text.strip())
                for connection, client_id in zip((watcher.theirs, watcher.ours), ids, strict=True)
            )
            for name in (b"flags", b"sub", b"psub", b"ssub", b"multi", b"watch", b"cmd", b"resp"):
                assert (number, name, ours[name]) == (number, name, theirs[name])
            watcher.do("SET k v")


COUNTED = (
    b"qbuf", b"argv-mem", b"multi-mem", b"tot-net-in", b"tot-net-out", b"tot-cmds", b"read-events",
    b"avg-pipeline-len-sum", b"avg-pipeline-len-cnt", b"cmd", b"flags", b"events",
)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"PING\r\n" * 10, 10),
        (b"NOSUCH\r\nGET\r\nGET a\r\n", 3),
        (b"PING\r\nPI", 1),
        (b"MULTI\r\nSET a b\r\nNOSUCH\r\nPING\r\nSET ", 4),
        (b"MULTI\r\nSET a b\r\nGET a\r\nEXEC\r\n", 4),
        (b"CLIENT NO-TOUCH on\r\nBLPOP nokey other 0\r\n", 1),
        (b"BLPOP nokey other 0\r\nPING\r\nSET x y\r\n", 0),
        (b"PING\r\nBLPOP nokey 0.001\r\nPING\r\n", 3),
        (b"SUBSCRIBE a b\r\n", 2),
    ],
)
def test_what_a_client_has_sent_and_not_been_answered(data: bytes, replies: int) -> None:
    with pair() as both:
        watcher, client = both.client(), both.client()
        client.send(Raw(data, replies=replies))
        for _ in range(replies):
            client.receive()
        both.settle(blocked=int(b"other 0" in data))
        theirs, ours = (
            fields(parse(connection.call("CLIENT", "LIST", "ID", str(client_id))).text.strip())
            for connection, client_id in zip((watcher.theirs, watcher.ours), client_ids(watcher), strict=True)
        )
        for name in COUNTED:
            assert (name, ours[name]) == (name, theirs[name])


def test_unread_replies() -> None:
    """A client that does not read: what is queued shows up, and in the client's memory."""
    with pair() as both:
        watcher, client = both.client(), both.client()
        watcher.do("SETRANGE big 999999 x")
        for connection in (client.theirs, client.ours):
            connection.send(b"GET big\r\n" * 30)
        for connection, client_id in zip((watcher.theirs, watcher.ours), client_ids(watcher), strict=True):
            omem = 0
            for _ in range(1000):  # the replies are not all made at once
                line = fields(parse(connection.call("CLIENT", "LIST", "ID", str(client_id))).text.strip())
                omem = int(line[b"omem"])
                if omem > 10_000_000:
                    break
            assert 10_000_000 < omem < 31_000_000 and line[b"events"] == b"rw"


def client_ids(watcher: Client) -> tuple[int, int]:
    """The IDs of the clients that connected last."""
    found = []
    for connection in (watcher.theirs, watcher.ours):
        lines = parse(connection.call("CLIENT", "LIST")).text.splitlines()
        found.append(max(int(fields(line)[b"id"]) for line in lines))
    return found[0], found[1]


def test_list_by_type_and_id() -> None:
    with pair() as both:
        client, other = both.client(), both.client()
        other.do("SUBSCRIBE x")
        theirs, ours = client_ids(client)
        for connection, own in ((client.theirs, theirs), (client.ours, ours)):
            listed = parse(connection.call("CLIENT", "LIST", "TYPE", "PubSub")).text
            assert b"id=%d " % own in listed
            assert listed.count(b"\n") == 1
            listed = parse(connection.call("CLIENT", "LIST", "ID", str(own), "999999", str(own))).text
            assert listed.count(b"id=%d " % own) == 2


def test_kill() -> None:
    with pair() as both:
        client, other, subscriber = both.client(), both.client(), both.client()
        subscriber.do("SUBSCRIBE x")
        client.do("CLIENT KILL TYPE pubsub")
        assert subscriber.receive() == CLOSED
        theirs, ours = other.ids
        client.do(
            Each(["CLIENT", "KILL", "ID", theirs, "SKIPME", "yes"], ["CLIENT", "KILL", "ID", ours, "SKIPME", "yes"])
        )
        client.do(Each(["CLIENT", "KILL", "ID", theirs], ["CLIENT", "KILL", "ID", ours]))
        assert other.receive() == CLOSED
        theirs, ours = client.ids
        client.do(Each(["CLIENT", "KILL", "ID", theirs], ["CLIENT", "KILL", "ID", ours]))
        client.do(
            Each(["CLIENT", "KILL", "ID", theirs, "SKIPME", "no"], ["CLIENT", "KILL", "ID", ours, "SKIPME", "no"])
        )
        assert client.receive() == CLOSED


def test_kill_by_address() -> None:
    with pair() as both:
        client, other = both.client(), both.client()
        addresses = []
        for connection in (other.theirs, other.ours):
            addresses.append(fields(parse(connection.call("CLIENT", "INFO")).text)[b"addr"])
        theirs, ours = addresses
        client.do(Each([b"CLIENT", b"KILL", theirs], [b"CLIENT", b"KILL", ours]))
        client.do(Each([b"CLIENT", b"KILL", theirs], [b"CLIENT", b"KILL", ours]))
        assert other.receive() == CLOSED


def test_replies_off() -> None:
    same(
        [
            Step("CLIENT REPLY OFF", replies=0),
            Step("PING", replies=0),
            Step("CLIENT REPLY SKIP", replies=0),
            Step("NOTHING", replies=0),
            "CLIENT REPLY ON",
            "PING a",
            Step("CLIENT REPLY SKIP", replies=0),
            Step("PING b", replies=0),
            "PING c",
            Step("CLIENT REPLY SKIP", replies=0),
            "CLIENT REPLY ON",
            "PING d",
            Step("CLIENT REPLY SKIP", replies=0),
            Step("CLIENT REPLY SKIP", replies=0),
            Step("PING e", replies=0),
            "PING f",
            Step("CLIENT REPLY SKIP", replies=0),
            Step("CLIENT REPLY OFF", replies=0),
            Step("PING g", replies=0),
            "CLIENT REPLY ON",
            Step("CLIENT REPLY OFF", replies=0),
            "RESET",
            "PING h",
        ]
    )


def test_messages_to_a_client_with_replies_off() -> None:
    with pair() as both:
        client = both.client(resp=3)
        client.do("SUBSCRIBE x")
        client.send(Step("CLIENT REPLY OFF", replies=0))
        client._sent.clear()
        both.client().do("PUBLISH x hello")
        client.receive(Step("(a push)"))


def test_pause() -> None:
    with pair(cleanup=["CLIENT UNPAUSE"]) as both:
        admin, client = both.client(), both.client()
        admin.do("CLIENT PAUSE 100000 WRITE")
        client.do("GET k")
        client.send("SET k v")
        both.settle(blocked=1)
        client.nothing()
        admin.do("CLIENT UNPAUSE")
        client.receive()
        client.do("GET k")
        admin.do("CLIENT PAUSE 20 ALL")
        client.send("GET k")
        client.receive()


def test_unblock() -> None:
    with pair() as both:
        admin, client = both.client(), both.client()
        theirs, ours = client.ids
        for words in ([], ["TIMEOUT"], ["error"]):
            client.send("BLPOP k 0")
            both.settle()
            admin.do(Each(["CLIENT", "UNBLOCK", theirs, *words], ["CLIENT", "UNBLOCK", ours, *words]))
            client.receive()
        admin.do(Each(["CLIENT", "UNBLOCK", theirs], ["CLIENT", "UNBLOCK", ours]))
        client.send("WAIT 1 0")
        both.settle()
        admin.do(Each(["CLIENT", "UNBLOCK", theirs], ["CLIENT", "UNBLOCK", ours]))
        client.receive()
        client.do("PING")


def test_valkeys_clients_may_say_what_they_can_do() -> None:
    connection = servers.broker().connect()
    try:
        assert connection.call("CLIENT", "CAPA", "redirect") == b"+OK\r\n"
        assert connection.call("CLIENT", "CAPA", "whatever", "else") == b"+OK\r\n"
        assert connection.call("CLIENT", "CAPA") == b"-ERR wrong number of arguments for 'client|capa' command\r\n"
    finally:
        connection.close()
