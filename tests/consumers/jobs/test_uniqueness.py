"""Who holds a place, and until when."""

import coredis

from consumers.connection import Command, open_link
from consumers.jobs.names import Keys
from consumers.jobs.uniqueness import claim, holders, release
from consumers.transactions import Ask, Transactions

Client = coredis.Redis[bytes]
KEYS = Keys("q", ["normal"])


async def test_claims_run_out_are_cancelled_and_end_one_by_one(client: Client) -> None:
    async with open_link(client, KEYS.later) as link:

        async def now(moment: float) -> dict[str, str]:
            async def decide(ask: Ask) -> tuple[list[Command], dict[str, str]]:
                return [], await holders(ask, KEYS, ["a", "b"], moment)

            return await Transactions(link).run([KEYS.unique("a"), KEYS.unique("b")], decide)

        assert await now(0) == {}
        await link.transaction([*claim(KEYS, "a", "1", 100, 50), *claim(KEYS, "b", "2", 100, 20)])
        assert await now(110) == {"a": "1", "b": "2"}
        assert await now(121) == {"a": "1"}
        await client.zadd(KEYS.cancelled, {"1": 120.0})
        assert await now(121) == {}
        await link.transaction(claim(KEYS, "a", "3", 121, 50))
        await link.transaction(release(KEYS, "a", "1"))
        assert await now(122) == {"a": "3"}
        assert release(KEYS, "", "4") == []
