"""What readers ask of consumer groups."""

import coredis
import pytest

from consumers.console.asking import ask
from consumers.console.queues.stream_groups import entry_order, groups_in, is_entry_id, last_delivered

Client = coredis.Redis[bytes]


async def test_groups(client: Client) -> None:
    await client.xgroup_create("stream", "first", identifier="5-1", mkstream=True)
    await client.xgroup_create("stream", "second", identifier="0-0")
    await client.set("text", "x")
    found, missing, wrong = await ask(client, [(b"XINFO", b"GROUPS", key) for key in ("stream", "missing", "text")])
    assert [(one[b"name"], last_delivered(one)) for one in groups_in(found)] == [(b"first", "5-1"), (b"second", "0-0")]
    assert groups_in(missing) == groups_in(wrong) == []


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-1-1", "1-x", " 1-1", "\u0661-1"])
def test_what_is_no_id(text: str) -> None:
    assert not is_entry_id(text)


def test_ids_sort_as_numbers() -> None:
    assert is_entry_id("10-2") and sorted(["10-2", "9-10", "10-10"], key=entry_order) == ["9-10", "10-2", "10-10"]
