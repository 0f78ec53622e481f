"""consumers.postponing: an entry waits in hand for its next attempt, and is then taken once more."""

import anyio
import pytest

from consumers.connection import open_link
from consumers.delivery import Delivery, State
from consumers.groups import Group, Start
from consumers.postponing import Postponing
from consumers.retry import RECONNECT
from tests.consumers.streams.running import Client

pytestmark = pytest.mark.both_loops


class _Inbox:
    """Never asked: nothing is settled here."""

    settle = failed = rejected = extend = None


async def test_a_postponed_entry_is_counted_when_its_delay_has_passed_unless_it_is_gone(client: Client) -> None:
    ready: list[Delivery] = []
    lost: list[Delivery] = []
    for n in (1, 2):
        await client.xadd("s", {"n": str(n)}, identifier=f"{n}-0")
    async with open_link(client, "s") as link:
        group = Group(link, ["s"], "g", "a", 30)
        await group.ensure(Start.BEGINNING)
        entries = await group.read(2, 0.1, True, False)
        postponing: Postponing[Delivery] = Postponing(group, ready=ready.append, lost=lost.append, reconnect=RECONNECT)
        await client.xdel("s", ["2-0"])
        async with anyio.create_task_group() as tasks:
            for entry in entries:
                failed, again = (Delivery(_Inbox(), "s", entry.id.decode(), entry.values, 1) for _ in range(2))  # type: ignore[arg-type]
                failed.key = "x"
                postponing.hold(failed, again, 0.01)
                assert [one.key for one in (failed, again)] == [None, "x"]
                assert [one.state for one in (failed, again)] == [State.SETTLED, State.POSTPONED]
                tasks.start_soon(postponing.run, again)
        assert [(one.id, one.delivery_count, one.state) for one in ready] == [("1-0", 2, State.WAITING)]
        assert [(one.id, one.lost) for one in lost] == [("2-0", True)]
        assert await group.pending("s") == {b"1-0": 2}
