"""Slices of all nodes' keys, lap after lap."""

from typing import Any

import pytest

from consumers.console import laps
from consumers.console.laps import Laps


async def test_a_look_goes_on_where_the_one_before_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laps, "nodes", lambda client: ["a", "b"])
    slices = {("a", b"0"): b"7", ("a", b"7"): 0, ("b", b"0"): b"0"}
    seen: list[tuple[str, bytes]] = []

    async def show(node: Any, cursor: bytes) -> bytes | int:
        seen.append((node, cursor))
        return slices[node, cursor]

    client: Any = None
    found = Laps()
    await found.go_on(client, 1, show)
    assert (seen, found.count) == ([("a", b"0")], 0)
    await found.go_on(client, 1, show)
    await found.go_on(client, 9, show)
    # not into the next lap
    assert (seen, found.count) == ([*slices], 1)
    await found.go_on(client, 3, show)
    assert (seen, found.count) == ([*slices, *slices], 2)
