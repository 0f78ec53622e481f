"""Generated sequences over all types at once: a few keys are retyped, moved, expired and combined in every way.

The families' own tests keep to keys of their type; here a key's next command seldom expects what is there, and a
value comes from whichever command stored it.
"""

import pytest
from hypothesis import given

from tests.oracle.harness import AnyCommand, examples, pair, requires, same
from tests.oracle.mixed_commands import sequences

pytestmark = requires("8.10")

OFF = ["CONFIG SET notify-keyspace-events ''"]
DIGESTS: list[AnyCommand] = [
    "SELECT 0",
    "DEBUG DIGEST-VALUE a b c d",
    "SELECT 1",
    "DEBUG DIGEST-VALUE a b c d",
    "DEBUG DIGEST",
]


@pytest.mark.parametrize("resp", [2, 3], ids=["RESP2", "RESP3"])
@examples(40)
@given(script=sequences(40))
def test_any_command_on_any_type(resp: int, script: list[AnyCommand]) -> None:
    same([*script, *DIGESTS], resp=(resp,), state=True)


@examples(40)
@given(script=sequences(30))
def test_events_in_order(script: list[AnyCommand]) -> None:
    with pair(cleanup=OFF) as p:
        listener, client = p.client(2), p.client(3)
        listener.do("PSUBSCRIBE __key*@*__:*")
        client.do("CONFIG SET notify-keyspace-events KEAnoc")
        for command in script:
            client.do(command)
        listener.drain()
