"""Pages of keys that match a pattern."""

import coredis
import pytest

from consumers.console import scanning
from consumers.console.scanning import escaped, scan

Client = coredis.Redis[bytes]


async def test_every_key_is_on_a_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SLICE", 10)
    await client.mset({f"wanted {n}": "" for n in range(100)} | {f"other {n}": "" for n in range(300)})
    found: set[bytes] = set()
    after, pages = None, 0
    while pages == 0 or after is not None:
        keys, after = await scan(client, "wanted *", after, 20)
        found |= set(keys)
        pages += 1
    assert found == {b"wanted %d" % n for n in range(100)} and pages > 3


async def test_a_page_looks_at_a_bounded_number_of_keys(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SLICE", 10)
    await client.mset({f"other {n}": "" for n in range(1000)})
    keys, after = await scan(client, "wanted *", None, 20)
    assert keys == [] and after is not None
    with pytest.raises(ValueError, match="not a position"):
        await scan(client, "*", "x", 20)


async def test_a_name_that_looks_like_a_pattern(client: Client) -> None:
    await client.mset({"a*[b]?\\ 1": "", "a*[b]?\\": "", "ab 1": "", "a b 1": ""})
    keys, _ = await scan(client, f"{escaped('a*[b]?' + chr(92))} *", None, 20)
    assert keys == [b"a*[b]?\\ 1"]
