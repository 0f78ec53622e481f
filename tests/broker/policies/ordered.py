"""A group with ORDERBY, and questions about it."""

from tests.broker.inprocess import Client
from tests.broker.policies.governing import group_facts, pending

READ = "XREADGROUP GROUP g {} STREAMS s >"
ALICE, BOB = READ.format("alice"), READ.format("bob")
WAIT = "XREADGROUP GROUP g bob BLOCK 0 STREAMS s >"

ORDERED = (
    *(f"XADD s {number}-1 user {user} n {number}" for number, user in enumerate("aababc", 1)),
    "XADD s 7-1 n 7",
    "XGROUP CREATE s g 0",
    "XGROUP CFGSET s g ORDERBY user ACKWAIT 1000",
)
"""Entries 1, 2 and 4 have the value a; 3 and 5 have b; 6 has c, and 7 has none."""


async def facts(client: Client, *names: str) -> list[bytes]:
    found = await group_facts(client)
    return [found[name].text for name in names]


async def parked(client: Client) -> list[str]:
    return [row[0] for row in await pending(client) if row[1] == "~parked"]
