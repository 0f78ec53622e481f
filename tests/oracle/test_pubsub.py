"""Publish and subscribe beside redis-server: replies, pushes, their order, and who receives what."""

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import AnyCommand, Client, Skip, Step, Unordered, examples, pair, requires, same

pytestmark = requires("7.2")


def test_subscribe_and_unsubscribe_answer_each_channel() -> None:
    same(
        [
            "SUBSCRIBE a",
            "SUBSCRIBE a b a",
            "PSUBSCRIBE a* b*",
            "SSUBSCRIBE s a",
            "UNSUBSCRIBE a",
            "UNSUBSCRIBE a",
            "UNSUBSCRIBE nobody",
            "PUNSUBSCRIBE a*",
            "PUNSUBSCRIBE nobody*",
            "SUNSUBSCRIBE s nobody",
            "UNSUBSCRIBE",
            "PUNSUBSCRIBE",
            "SUNSUBSCRIBE",
            "PING",
            "GET nothing",
        ]
    )


def test_unsubscribing_from_nothing() -> None:
    same(["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE x", "PUNSUBSCRIBE x*", "SUNSUBSCRIBE x"])


def test_unsubscribing_from_all_answers_every_channel() -> None:
    same(
        [
            "SUBSCRIBE a",
            "PSUBSCRIBE b*",
            "SSUBSCRIBE c",
            Step("UNSUBSCRIBE", replies=1),
            Step("PUNSUBSCRIBE", replies=1),
            Step("SUNSUBSCRIBE", replies=1),
            "SET k v",
        ]
    )
    with pair() as p:
        for resp in (2, 3):
            client = p.client(resp)
            client.do("SUBSCRIBE a b c")
            client.send("UNSUBSCRIBE")
            theirs = sorted(client.theirs.receive().split(b"\r\n")[4] for _ in range(3))
            ours = sorted(client.ours.receive().split(b"\r\n")[4] for _ in range(3))
            assert theirs == ours == [b"a", b"b", b"c"]
            client._sent.clear()
            client.do("ECHO over" if resp == 3 else "UNSUBSCRIBE")


def test_arity_and_unknown_subcommands() -> None:
    same(
        [
            "SUBSCRIBE",
            "PSUBSCRIBE",
            "SSUBSCRIBE",
            "PUBLISH",
            "PUBLISH a",
            "PUBLISH a b c",
            "SPUBLISH a",
            "SPUBLISH a b c",
            "PUBSUB",
            "PUBSUB NOPE",
            "PUBSUB NOPE a b",
            "PUBSUB CHANNELS a b",
            "pubsub ChanNels a b",
            "PUBSUB SHARDCHANNELS a b",
            "PUBSUB NUMPAT x",
            "PUBSUB HELP x",
            "PUBSUB NUMSUB",
            "PUBSUB SHARDNUMSUB",
            "PUBSUB CHANNELS",
            "PUBSUB SHARDCHANNELS",
            "PUBSUB NUMPAT",
            "PUBSUB NUMSUB a b a",
            "PUBSUB SHARDNUMSUB a b a",
        ]
    )


def test_help_has_the_form_of_redis() -> None:
    with pair() as p:
        client = p.client()
        client.send("PUBSUB HELP")
        theirs, ours = client.theirs.receive(), client.ours.receive()
        client._sent.clear()
        for text in (theirs, ours):
            lines = text.split(b"\r\n")[1:-1]
            assert lines[0] == b"+PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
            assert lines[-2:] == [b"+HELP", b"+    Print this help."]
        usages = [
            [line for line in text.split(b"\r\n")[1:-1] if not line.startswith(b"+    ")] for text in (theirs, ours)
        ]
        assert usages[0] == usages[1]


def test_introspection_sees_the_subscribers_of_others() -> None:
    with pair() as p:
        one, two, looking = p.client(2), p.client(3), p.client()
        one.do("SUBSCRIBE a b")
        two.do("SUBSCRIBE a abc")
        two.do("PSUBSCRIBE a* b*")
        one.do("PSUBSCRIBE a*")
        one.do("SSUBSCRIBE s1 s2")
        two.do("SSUBSCRIBE s1")
        for command in (
            "PUBSUB CHANNELS",
            "PUBSUB CHANNELS a*",
            "PUBSUB CHANNELS ?",
            "PUBSUB CHANNELS ''",
            "PUBSUB CHANNELS [ab]",
            "PUBSUB SHARDCHANNELS",
            "PUBSUB SHARDCHANNELS s2",
        ):
            looking.do(Unordered(command))
        looking.do("PUBSUB NUMSUB a b c abc s1")
        looking.do("PUBSUB SHARDNUMSUB a s1 s2")
        looking.do("PUBSUB NUMPAT")
        one.do("UNSUBSCRIBE a")
        one.do("PUNSUBSCRIBE a*")
        one.do("SUNSUBSCRIBE s1")
        looking.do("PUBSUB NUMSUB a b")
        looking.do("PUBSUB SHARDNUMSUB s1 s2")
        looking.do("PUBSUB NUMPAT")
        two.close()
        looking.nothing()
        looking.nothing()
        looking.do(Unordered("PUBSUB CHANNELS"))
        looking.do("PUBSUB NUMPAT")
        looking.do("PUBSUB SHARDCHANNELS")


def test_messages_reach_channels_patterns_and_shard_channels() -> None:
    with pair() as p:
        by_channel, by_pattern, by_shard, publisher = p.client(2), p.client(3), p.client(3), p.client()
        by_channel.do("SUBSCRIBE news.1 news.2")
        by_pattern.do("PSUBSCRIBE news.*")
        by_shard.do("SSUBSCRIBE news.1")
        commands: list[AnyCommand] = [
            "PUBLISH news.1 one",
            "PUBLISH news.2 ''",
            ["PUBLISH", "news.3", b"\x00\r\n\xff"],
            ["PUBLISH", "news.1", b"x" * 70_000],
            "PUBLISH other nobody",
            "SPUBLISH news.1 shard",
            "SPUBLISH news.2 nobody",
        ]
        for command in commands:
            publisher.do(command)
        assert by_channel.drain().count(b"message") == 3
        assert by_pattern.drain().count(b"pmessage") == 4
        assert by_shard.drain().count(b"smessage") == 1


def test_a_client_gets_a_message_for_each_of_its_subscriptions() -> None:
    with pair() as p:
        client, publisher = p.client(3), p.client()
        client.do("SUBSCRIBE a")
        client.do("PSUBSCRIBE a*")
        client.do("SSUBSCRIBE a")
        assert publisher.do("PUBLISH a 1") == b":2\r\n"
        publisher.do("SPUBLISH a 2")
        client.drain()


def test_resp2_subscribers_may_send_few_commands() -> None:
    same(
        [
            "SUBSCRIBE a",
            "GET k",
            "get k",
            "PUBLISH a b",
            "PUBSUB CHANNELS",
            "CONFIG GET port",
            "MULTI",
            "EXEC",
            "NOSUCHCOMMAND",
            "GET",
            "PSUBSCRIBE b",
            "SSUBSCRIBE c",
            "SUNSUBSCRIBE c",
            "PUNSUBSCRIBE b",
            "WATCH k",
            "HELLO 3",
            "UNSUBSCRIBE a",
            "GET k",
            "SSUBSCRIBE s",
            "GET k",
            "SUNSUBSCRIBE s",
            "GET k",
            "PSUBSCRIBE s*",
            "GET k",
            "PUNSUBSCRIBE s*",
            "GET k",
        ],
        resp=(2,),
    )


def test_resp3_subscribers_may_send_any_command() -> None:
    same(["SUBSCRIBE a", "SET k v", "GET k", "PUBSUB NUMSUB a", "MULTI", "GET k", "EXEC", "UNSUBSCRIBE a"], resp=(3,))


def test_ping_of_a_subscriber() -> None:
    same(["PING", "SUBSCRIBE a", "PING", "PING text", "UNSUBSCRIBE a", "PING", "PING text"])


def test_a_message_to_oneself_follows_the_reply() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("SUBSCRIBE a")
        client.send("PUBLISH a 1")
        assert client.receive() == b":1\r\n"
        assert client.receive("(push)").startswith(b">3")
        client.send("MULTI")
        client.send("PUBLISH a 2")
        client.send("PUBLISH a 3")
        client.send("EXEC")
        for _ in range(6):
            client.receive("(reply or push)")
        client.nothing()


def test_a_pipeline_of_publishes_to_oneself() -> None:
    with pair() as p:
        client = p.client(3)
        client.do("SUBSCRIBE a")
        for number in range(5):
            client.send(f"PUBLISH a {number}")
            client.send(f"SUBSCRIBE b{number}")
        client.drain()


def test_subscribe_inside_a_transaction() -> None:
    for resp in (2, 3):
        with pair() as p:
            client, publisher = p.client(resp), p.client()
            client.do("MULTI")
            client.do(Step("SUBSCRIBE a b", replies=1))
            client.do(Step("PSUBSCRIBE c*", replies=1))
            client.do("SET k v")
            client.do(Step("UNSUBSCRIBE b", replies=1))
            client.send("EXEC")
            client.drain()
            publisher.do("PUBLISH a 1")
            publisher.do("PUBLISH cc 1")
            publisher.do("PUBLISH b 1")
            client.drain()
            client.do("GET k")


def test_ssubscribe_inside_a_transaction_is_refused() -> None:
    same(
        [
            "MULTI",
            Step("SSUBSCRIBE a", replies=1),
            Step("SUNSUBSCRIBE a", replies=1),
            "GET k",
            "EXEC",
            "PUBSUB SHARDCHANNELS",
        ]
    )


def test_silenced_clients_get_pushes() -> None:
    for resp in (2, 3):
        with pair() as p:
            client, publisher = p.client(resp), p.client()
            client.send("CLIENT REPLY OFF")
            client.send("SUBSCRIBE a")
            client.send("PING")
            client.send("UNSUBSCRIBE nothing")
            publisher.nothing()
            publisher.do("PUBLISH a 1")
            client._sent.clear()
            client.drain()
            assert client.usable


def test_a_skipped_reply_is_still_a_push() -> None:
    for resp in (2, 3):
        with pair() as p:
            client, publisher = p.client(resp), p.client()
            for command in ("CLIENT REPLY SKIP", "SUBSCRIBE a", "CLIENT REPLY SKIP", "UNSUBSCRIBE", "PING"):
                client.send(command)
            publisher.nothing()
            client._sent.clear()
            client.drain()
            assert client.usable


def test_reset_ends_all_subscriptions() -> None:
    for resp in (2, 3):
        with pair() as p:
            client, publisher = p.client(resp), p.client()
            for command in ("SUBSCRIBE a b", "PSUBSCRIBE a*", "SSUBSCRIBE s", "RESET", "GET k"):
                client.do(command)
            publisher.do("PUBLISH a x")
            publisher.do("SPUBLISH s x")
            publisher.do("PUBSUB NUMPAT")
            client.nothing()


def test_changing_the_version_while_subscribed() -> None:
    with pair() as p:
        client, publisher = p.client(3), p.client()
        client.do("SUBSCRIBE a")
        client.do("GET k")
        client.do(Skip("HELLO 2"))
        client.do("GET k")
        publisher.do("PUBLISH a x")
        client.drain()
        client.do("UNSUBSCRIBE a")
        client.do("GET k")


def test_pushes_reach_a_waiting_client() -> None:
    with pair() as p:
        client, other = p.client(3), p.client()
        client.do("SUBSCRIBE a")
        client.send("BLPOP l 0")
        p.settle()
        other.do("PUBLISH a 1")
        assert client.receive("(push)").startswith(b">3")
        other.do("MULTI")
        other.do("PUBLISH a 2")
        other.do("RPUSH l x")
        other.do("PUBLISH a 3")
        other.do("EXEC")
        for _ in range(3):
            client.receive("(push or reply)")
        client.nothing()


def test_messages_and_replies_keep_their_order() -> None:
    with pair() as p:
        client, other = p.client(3), p.client()
        client.do("SUBSCRIBE a")
        for number in range(20):
            other.do(f"PUBLISH a {number}")
            client.send(f"ECHO {number}")
            client.receive("(push)")
            client.receive("(reply)")


def test_names_are_any_bytes() -> None:
    with pair() as p:
        client, publisher = p.client(3), p.client()
        for name in (b"", b"\r\n", b"\x00", b"\xff" * 300, b"a b"):
            client.do(["SUBSCRIBE", name])
            publisher.do(["PUBLISH", name, name])
            client.drain()
            client.do(["PSUBSCRIBE", name])
            publisher.do(["PUBSUB", "NUMSUB", name])
            client.do(["PUNSUBSCRIBE", name])
            client.do(["UNSUBSCRIBE", name])


_names = st.sampled_from(["a", "b", "ab", "abc", "*", "a*", "?"])
_acts = st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE"])
_turns = st.one_of(
    st.tuples(st.integers(0, 2), _acts, st.lists(_names, min_size=1, max_size=3)),
    st.tuples(st.just(3), st.sampled_from(["PUBLISH", "SPUBLISH"]), _names.map(lambda name: [name, "message"])),
    st.tuples(st.just(3), st.sampled_from(["PUBSUB"]), st.sampled_from([["NUMPAT"], ["CHANNELS"], ["SHARDCHANNELS"]])),
    st.tuples(st.just(3), st.just("PUBSUB"), _names.map(lambda name: ["NUMSUB", name, "a"])),
)


def _messages(client: Client) -> tuple[list[bytes], list[bytes]]:
    """What has come, by server; sorted, since several patterns of one client match in no defined order."""
    client._flush()
    found = []
    for connection in (client.theirs, client.ours):
        frames = []
        while connection.waiting():
            frames.append(connection.receive())
        found.append(sorted(frames))
    return found[0], found[1]


@examples(40)
@given(st.lists(_turns, max_size=25))
def test_generated_subscribers(turns: list[tuple[int, str, list[str]]]) -> None:
    with pair() as p:
        clients = [p.client(2), p.client(3), p.client(3), p.client(3)]
        for number, name, arguments in turns:
            clients[number].do(Unordered([name, *arguments]))
            for subscriber in clients[:3]:
                theirs, ours = _messages(subscriber)
                assert theirs == ours
