"""Random commands of clients with random ways of tracking, beside redis-server: the same messages in the same order."""

import re

import hypothesis.strategies as st
from hypothesis import given

from tests.oracle.harness import Client, Each, Masked, Pair, examples, pair, requires

pytestmark = requires("8.10")

CLIENTS = 4
KEYS = ("a", "a1", "b", "b1", "c")

keys = st.sampled_from(KEYS)
reads = st.one_of(
    st.builds("GET {}".format, keys),
    st.builds("MGET {} {}".format, keys, keys),
    st.builds("EXISTS {}".format, keys),
    st.builds("LRANGE {} 0 1".format, keys),
)
writes = st.one_of(
    st.builds("SET {} 1".format, keys),
    st.builds("MSET {} 1 {} 2".format, keys, keys),
    st.builds("DEL {} {}".format, keys, keys),
    st.builds("RENAME {} {}".format, keys, keys),
    st.builds("COPY {} {} REPLACE".format, keys, keys),
    st.builds("EXPIRE {} 100".format, keys),
    st.builds("GETEX {} PERSIST".format, keys),
    st.builds("RPUSH {} 1".format, keys),
    st.sampled_from(("FLUSHALL ASYNC", "FLUSHDB ASYNC", "SWAPDB 0 1")),  # SYNC also replies from a thread in Redis,
)
SCRIPT = "redis.pcall('get', KEYS[1]) redis.pcall('set', KEYS[2], 1) return redis.pcall('get', KEYS[2])"
scripts = st.builds(f'EVAL "{SCRIPT}" 2 {{}} {{}}'.format, keys, keys)
modes = st.builds(
    "CLIENT TRACKING on {} {}".format,
    st.sampled_from(("", "", "OPTIN", "OPTOUT", "BCAST", "BCAST PREFIX a", "BCAST PREFIX b PREFIX a1", "BCAST OPTIN")),
    st.sampled_from(("", "NOLOOP")),
)
states = st.sampled_from(
    (
        "CLIENT CACHING yes",
        "CLIENT CACHING no",
        "MULTI",
        "EXEC",
        "DISCARD",
        "SELECT 1",
        "SELECT 0",
        "CLIENT TRACKINGINFO",
        "HELLO 2",
        "HELLO 3",
        "SUBSCRIBE __redis__:invalidate",
        "UNSUBSCRIBE __redis__:invalidate",
        "RESET",
        "CLIENT TRACKING off",
    )
)
commands = st.one_of(reads, reads, reads, writes, writes, scripts, modes, states)
redirections = st.tuples(st.just("redirect"), st.integers(0, CLIENTS - 1), st.sampled_from(("", "NOLOOP", "BCAST")))
steps = st.tuples(st.integers(0, CLIENTS - 1), st.one_of(commands, commands, commands, commands, redirections))


def masked(reply: bytes) -> bytes:
    reply = re.sub(rb"(redir-broken\r\n|redirect\r\n):[1-9]\d*", rb"\1:<id>", reply)
    return b"%HELLO" if b"$6\r\nserver\r\n" in reply else reply


class Players:
    """Some clients, of which one may redirect to another; two speak RESP2 and two RESP3."""

    def __init__(self, p: Pair) -> None:
        self.clients = [p.client(2 + number % 2) for number in range(CLIENTS)]
        self.ids = [client.ids for client in self.clients]

    def do(self, number: int, command: str | tuple[str, int, str]) -> None:
        client = self.clients[number]
        if isinstance(command, str):
            client.send(command)
        else:
            _, receiver, options = command
            client.send(
                Each(*(f"CLIENT TRACKING on REDIRECT {receiver_id} {options}" for receiver_id in self.ids[receiver]))
            )
        for each in self.clients:
            each.drain()

    def compare_totals(self, client: Client) -> None:
        client.do(Masked("INFO clients stats", lambda reply: b" ".join(re.findall(rb"tracking_\w+:\d+", reply))))


@examples(60)
@given(st.tuples(*[modes] * CLIENTS), st.lists(steps, min_size=10, max_size=50))
def test_what_clients_are_told(begin: tuple[str, ...], script: list[tuple[int, str | tuple[str, int, str]]]) -> None:
    with pair(mask=masked) as p:
        players = Players(p)
        for number, command in [*enumerate(begin), *script]:
            players.do(number, command)
        players.compare_totals(p.client())
