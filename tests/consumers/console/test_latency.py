"""Percentiles between two looks."""

from typing import Any

import coredis
import pytest

from consumers.console.asking import ask_node
from consumers.console.latency import grown, histogram, percentile

Client = coredis.Redis[bytes]


def test_the_calls_of_all_commands_are_added_up() -> None:
    reply: dict[bytes, dict[bytes, Any]] = {
        b"get": {b"calls": 6, b"histogram_usec": {1: 4, 4: 6}},
        b"config|get": {b"calls": 3, b"histogram_usec": {4: 1, 264: 3}},
        b"info": {b"calls": 9, b"histogram_usec": {264: 9}},
    }
    expected = {1: 4, 4: 3, 264: 2}
    assert histogram(reply) == expected
    listed = [[name, [b"calls", 1, b"histogram_usec", _flat(one[b"histogram_usec"])]] for name, one in reply.items()]
    assert histogram([part for pair in listed for part in pair]) == expected
    assert histogram([]) == {}


def _flat(pairs: dict[int, int]) -> list[int]:
    return [number for pair in pairs.items() for number in pair]


def test_only_the_growth_counts() -> None:
    assert grown({1: 5, 4: 2}, {1: 5, 4: 3, 16: 7}) == {1: 0, 4: 1, 16: 7}
    assert grown({1: 5}, {1: 4, 2: 9}) is None
    assert grown({1: 5}, {}) is None


def test_percentiles_are_inside_the_right_bucket() -> None:
    calls = {8: 90, 16: 9, 1056: 1, 33: 0}
    assert percentile(calls, 90) == 8 and percentile(calls, 45) == 6
    assert percentile(calls, 99) == pytest.approx(16)
    assert 528 < (percentile(calls, 99.9) or 0) <= 1056
    assert percentile(calls, 100) == 1056
    assert percentile({1: 2}, 50) == 0.5
    assert percentile({}, 50) is None and percentile({8: 0}, 99) is None


async def test_servers_count_as_is_expected(client: Client) -> None:
    async def asked() -> Any:
        (reply,) = await ask_node(client, None, [(b"LATENCY", b"HISTOGRAM")])
        return histogram(reply)

    before = await asked()
    for _ in range(10):
        await client.get("x")
    calls = grown(before, await asked())
    assert calls is not None and sum(calls.values()) == 10
    assert 0 < (percentile(calls, 50) or 0) <= (percentile(calls, 99) or 0)
