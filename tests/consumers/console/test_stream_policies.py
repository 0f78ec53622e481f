"""The policies of groups and streams, as forms have them."""

from collections.abc import Mapping
from typing import Any

import coredis
import pytest

from consumers.console.asking import ask
from consumers.console.entered import HEX, TEXT, Unreadable
from consumers.console.stream_policies import (
    GROUP,
    STREAM,
    Option,
    PolicyForm,
    changes,
    group_command,
    group_form,
    offered,
    stream_command,
    stream_form,
    told,
)

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


def typed(form: PolicyForm, **fields: str) -> dict[str, str]:
    """What a browser sends for a form of which these fields were changed."""
    shown = {f"shown-{name}": value.replace("\n", "\r\n") for name, value in form.values.items()}
    own = {name.replace("_", "-"): value for name, value in fields.items()}
    return {**form.values, **shown, "notation": form.notation, "shown-notation": form.notation, **own}


def changed(options: tuple[Option, ...], policy: Mapping[str, Any], **fields: str) -> list[tuple[Any, ...]]:
    return [one.arguments for one in changes(options, typed(offered(options, policy), **fields))]


def test_what_is_not_set_is_empty() -> None:
    assert set(offered(GROUP, {"ack-wait": 0, "backoff": [], "dead-letter": b""}).values.values()) == {""}
    form = offered(STREAM, {})
    assert (form.values["retain"], form.values["discard"], form.values["channels"]) == ("limits", "old", "")


def test_only_what_was_changed_is_sent() -> None:
    policy = {"ack-wait": 1000, "max-deliver": 5, "backoff": [10, 20], "dead-letter": b"dead", "order-by": b"a b"}
    assert changed(GROUP, policy) == []
    assert changed(GROUP, policy, ack_wait="  5000 ", max_deliver="", backoff=" 10 \t30 40") == [
        (b"ACKWAIT", b"5000"), (b"BACKOFF", 3, b"10", b"30", b"40"), (b"MAXDELIVER", b"0"),
    ]  # fmt: skip
    assert changed(GROUP, policy, dead_letter="", order_by=" a b", backoff="") == [
        (b"BACKOFF", 0), (b"DEADLETTER", b""), (b"ORDERBY", b" a b"),
    ]  # fmt: skip
    # the server says what is wrong with it
    assert changed(GROUP, policy, ack_wait="soon") == [(b"ACKWAIT", b"soon")]


def test_patterns_have_a_line_each() -> None:
    policy = {"max-len": 10, "retain": b"interest", "discard": b"old", "channels": [b"a b", b"c*"]}
    assert offered(STREAM, policy).values["channels"] == "a b\nc*"
    assert changed(STREAM, policy) == []
    assert changed(STREAM, policy, channels="a b\r\n\r\nd\r\n", retain="limits") == [
        (b"RETAIN", b"limits"), (b"CHANNELS", 2, b"a b", b"d"),
    ]  # fmt: skip
    assert changed(STREAM, policy, channels="") == [(b"CHANNELS", 0)]


@pytest.mark.parametrize("name", [b"\xff", b"two\nlines", "\u202e".encode(), b"\x00"])
def test_names_that_are_no_text_are_digits(name: bytes) -> None:
    form = offered(GROUP, {"order-by": name, "dead-letter": b"dead", "ack-wait": 5})
    assert (form.notation, form.values["order-by"], form.values["dead-letter"]) == (HEX, name.hex(), "64656164")
    assert form.values["ack-wait"] == "5"
    assert changes(GROUP, typed(form)) == []
    # the notation alone is no change
    assert changed(GROUP, {"order-by": b"a"}, order_by="61", notation=HEX) == []
    with pytest.raises(Unreadable):
        changes(GROUP, typed(form, order_by="no digits"))
    assert offered(GROUP, {"order-by": b"a"}).notation == TEXT


def test_facts_of_the_policy_stand_apart() -> None:
    facts = [("name", "g"), ("ack-wait", "5"), ("lag", "1"), ("order-by", "")]
    assert told(GROUP, facts) == ([facts[0], facts[2]], [facts[1], facts[3]]) and told(STREAM, facts) == (facts, [])


async def test_other_servers_have_no_policies(client: Client) -> None:
    await client.xgroup_create("s", "g", "0", mkstream=True)
    assert await group_form(client, b"s", b"g") is None and await stream_form(client, b"s") is None


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_what_is_typed_is_what_is_read_again(client: Client) -> None:
    await client.xgroup_create("s", b"\xff", "0", mkstream=True)
    form = await group_form(client, b"s", b"\xff")
    assert form is not None and set(form.values.values()) == {""}
    values = {"ack-wait": "1000", "backoff": "10 20", "max-deliver": "3", "dead-letter": "dead", "max-inflight": "7",
              "order-by": "field"}  # fmt: skip
    assert await ask(client, [group_command(b"s", b"\xff", changes(GROUP, {**typed(form), **values}))]) == [b"OK"]
    again = await group_form(client, b"s", b"\xff")
    assert again is not None and again.values == values and changes(GROUP, typed(again)) == []
    none = dict.fromkeys(values, "")
    assert await ask(client, [group_command(b"s", b"\xff", changes(GROUP, {**typed(again), **none}))]) == [b"OK"]
    assert await group_form(client, b"s", b"\xff") == form
    form = await stream_form(client, b"s")
    assert form is not None
    values = {"max-len": "5", "max-age-ms": "60000", "max-bytes": "1000", "retain": "interest", "discard": "new",
              "channels": "a\n<b>*"}  # fmt: skip
    assert await ask(client, [stream_command(b"s", changes(STREAM, {**typed(form), **values}))]) == [b"OK"]
    again = await stream_form(client, b"s")
    assert again is not None and again.values == values


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_a_policy_that_may_not_be_read_says_so(client: Client) -> None:
    form = await group_form(client, b"s", b"nosuch")
    assert form is not None and "requires the key to exist" in form.error and form.values == {}
