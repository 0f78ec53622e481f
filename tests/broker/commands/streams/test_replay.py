"""Whatever is done to streams: executing the effects in another broker gives the same streams."""

import re

import hypothesis.strategies as st
from hypothesis import given, settings

from tests.broker.direct import Client
from tests.broker.effects import journal
from tests.broker.sessions import make_broker
from tests.oracle.test_stream_sequences import COMMANDS

_UNSTABLE = re.compile(rb"(radix-tree-\w+|seen-time|active-time|iids-duplicates)\r\n:-?\d+\r\n")
_HISTORY = re.compile(r"XREADGROUP .* STREAMS \w \d+$")


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 5), st.lists(COMMANDS.filter(lambda command: not _HISTORY.match(command)), max_size=60))
def test_effects_give_the_same_streams(node: int, commands: list[str]) -> None:
    """Redis does not propagate that history was read again, and neither do we."""
    leader, follower = make_broker(), make_broker()
    for broker in (leader, follower):
        broker.config.set([(b"stream-node-max-entries", b"%d" % node)])
    seen = journal(leader)
    client, other = Client(leader), Client(follower)
    ids = iter(range(5, 1000))
    script = ["XGROUP CREATE s g 0 MKSTREAM", *[f"XADD s {n} f v" for n in (1, 2, 3, 4)], *commands]
    for command in script:
        client.do(command.replace("{next}", str(next(ids))) if "{next}" in command else command)
    for _, words in seen:
        reply = other.do(words)
        assert not reply.startswith(b"-"), (words, reply)
    for key in ("s", "t", "u"):
        question = f"XINFO STREAM {key} FULL COUNT 0"
        assert _UNSTABLE.sub(b"", client.do(question)) == _UNSTABLE.sub(b"", other.do(question))


def test_producers() -> None:
    leader, follower = make_broker(), make_broker()
    seen = journal(leader)
    client, other = Client(leader), Client(follower)
    commands = [
        "XADD s IDMP p a * f v",
        "XADD s IDMPAUTO p * f v",
        "XADD s IDMPAUTO p * f v",
        "XADD s IDMP q a MAXLEN ~ 1 * f v",
        "XCFGSET s IDMP-MAXSIZE 9",
        "XADD s IDMP q b * f v",
    ]
    for command in commands:
        client.do(command)
    for _, words in seen:
        other.do(words)
    question = "XINFO STREAM s FULL"
    assert _UNSTABLE.sub(b"", client.do(question)) == _UNSTABLE.sub(b"", other.do(question))
