"""Leases on partitions: shares, handovers, deaths, and what a member is told that has lost its lease."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from consumers.connection import open_link
from consumers.options import Succession
from consumers.streams.membership import Membership, Renewal
from consumers.transactions import Transactions
from tests.consumers.streams.running import Client

pytestmark = pytest.mark.both_loops

KEY = "orders:partitions:billing"


class Player:
    """A member that does at once what it is told."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.held: dict[int, int] = {}
        self.ended: dict[int, int] = {}

    async def renew(self, *, leaving: bool = False) -> Renewal:
        renewal = await self.membership.renew(self.held, self.ended, leaving=leaving)
        self.ended.clear()
        for partition in renewal.lost:
            del self.held[partition]
        self.held |= {partition: grant.epoch for partition, grant in renewal.taken.items()}
        for partition in list(self.held)[: renewal.surplus]:
            self.ended[partition] = self.held.pop(partition)
        return renewal


@asynccontextmanager
async def players(client: Client, *names: str, partitions: int, lease: float = 60) -> AsyncIterator[list[Player]]:
    async with open_link(client, KEY) as link:
        yield [Player(Membership(Transactions(link), KEY, name, partitions, lease)) for name in names]


async def test_shares_differ_by_one_at_most_and_few_partitions_move(client: Client) -> None:
    async with players(client, "a", "b", "c", partitions=8) as (a, b, c):
        await a.renew()
        assert len(a.held) == 8
        renewal = await b.renew()
        assert (len(b.held), renewal.missing) == (0, 4)
        await a.renew()
        await a.renew()
        await b.renew()
        assert (len(a.held), len(b.held)) == (4, 4)
        before = dict(a.held)
        await c.renew()
        for _ in range(2):
            for one in (a, b, c):
                await one.renew()
        assert sorted(len(one.held) for one in (a, b, c)) == [2, 3, 3]
        assert set(a.held) < set(before) and len(a.held) >= 2
        assert sorted([*a.held, *b.held, *c.held]) == list(range(8))


async def test_more_members_than_partitions(client: Client) -> None:
    async with players(client, "a", "b", "c", partitions=2) as everyone:
        for _ in range(3):
            renewals = [await one.renew() for one in everyone]
        assert sorted(len(one.held) for one in everyone) == [0, 1, 1]
        assert all(renewal.missing == renewal.surplus == 0 for renewal in renewals)


async def test_what_is_handed_over_has_a_higher_epoch_and_was_left_in_order(client: Client) -> None:
    async with players(client, "a", "b", partitions=2) as (a, b):
        first = await a.renew()
        assert {grant.epoch for grant in first.taken.values()} == {1}
        a.ended, a.held = a.held, {}
        await a.membership.leave(a.ended)
        second = await b.renew()
        assert {grant.epoch for grant in second.taken.values()} == {2}
        assert {grant.succession for grant in second.taken.values()} == {Succession.AFTER_HANDOVER}
        await b.membership.leave({})
        assert await client.hgetall(KEY) == {b"partition:0": b"2 died b", b"partition:1": b"2 died b"}


async def test_a_dead_members_partitions_are_taken_over_after_its_lease(client: Client) -> None:
    async with (
        players(client, "a", partitions=2, lease=0.2) as (a,),
        players(client, "b", partitions=2) as (b,),
    ):
        await a.renew()
        assert not (await b.renew()).taken
        with anyio.fail_after(60):
            while len(b.held) < 2:
                await anyio.sleep(0.05)
                renewal = await b.renew()
        assert {grant.succession for grant in renewal.taken.values()} == {Succession.AFTER_CRASH}
        # it was only paused
        renewal = await a.renew()
        assert renewal.lost == {0, 1} and not a.held


async def test_a_member_that_was_paused_gets_its_partitions_with_new_epochs(client: Client) -> None:
    async with players(client, "a", partitions=2, lease=0.1) as (a,):
        await a.renew()
        await anyio.sleep(0.15)
        renewal = await a.renew()
        assert renewal.lost == {0, 1}
        assert {(grant.epoch, grant.succession) for grant in renewal.taken.values()} == {(2, Succession.AFTER_CRASH)}


async def test_a_grant_whose_reply_was_lost_is_made_again(client: Client) -> None:
    async with players(client, "a", partitions=2) as (a,):
        await a.renew()
        a.held.clear()
        assert {grant.epoch for grant in (await a.renew()).taken.values()} == {2}


async def test_a_leaving_member_keeps_its_lease_and_gets_nothing(client: Client) -> None:
    async with players(client, "a", "b", partitions=4) as (a, b):
        await a.renew()
        renewal = await a.membership.renew(a.held, {}, leaving=True)
        assert (renewal.taken, renewal.surplus) == ({}, 4)
        assert (await b.renew()).missing == 4
        await a.membership.leave(a.held)
        assert len((await b.renew()).taken) == 4


async def test_members_never_share_a_partition_whatever_the_order_of_their_renewals(client: Client) -> None:
    chance = random.Random(7)
    names = [f"m{n}" for n in range(5)]
    async with players(client, *names, partitions=12) as everyone:
        here: set[int] = set()
        epochs: dict[int, int] = {}
        for _ in range(150):
            number = chance.randrange(5)
            one = everyone[number]
            if number in here and chance.random() < 0.15:
                await one.membership.leave(one.held | one.ended)
                one.held, one.ended = {}, {}
                here.discard(number)
                continue
            here.add(number)
            for partition, grant in (await one.renew()).taken.items():
                assert grant.epoch > epochs.get(partition, 0)
                epochs[partition] = grant.epoch
            held = [partition for other in everyone for partition in other.held]
            assert len(held) == len(set(held))
        for _ in range(3):
            for number in here:
                await everyone[number].renew()
        counts = [len(everyone[number].held) for number in here]
        assert sum(counts) == 12 and max(counts) - min(counts) <= 1
