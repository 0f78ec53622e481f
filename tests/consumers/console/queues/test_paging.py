"""Pages over several collections."""

import pytest

from consumers.console.queues import paging
from consumers.console.queues.paging import Source, across, position


def source(values: str) -> Source[str]:
    async def read(offset: int, count: int) -> list[str]:
        return list(values[offset : offset + count])

    return read


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_every_element_is_on_one_page(limit: int) -> None:
    sources = [source(""), source("abc"), source(""), source("defg"), source("")]
    found, after, pages = "", None, 0
    while pages == 0 or after is not None:
        items, after = await across(sources, after, limit)
        assert len(items) <= limit
        found += "".join(item.value for item in items)
        assert all("".join(item.value) == ("", "abc", "", "defg")[item.source][item.offset] for item in items)
        pages += 1
    assert found == "abcdefg" and pages <= 8


async def test_a_page_of_large_elements_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "BYTES", 3)

    async def one_by_one(offset: int, count: int) -> list[str]:
        return list("abcdefg"[offset : offset + 1])

    items, after = await across([one_by_one], None, 5, len)
    assert [item.value for item in items] == ["a", "b", "c"] and after == "0:3" == f"0:{items[-1].offset + 1}"
    assert items[1].place == "0:1"


def test_positions() -> None:
    assert position(None) == position("") == (0, 0)
    assert position("3:45") == (3, 45)
    for bad in ("x", "1", "1:", ":1", "-1:2", "1:\u0664"):
        with pytest.raises(ValueError, match="not a position"):
            position(bad)
