"""The state of streams and their consumer groups, as shown by `trimaran queues`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from consumers.connection import Client, ask_any
from consumers.deadletters import dead_letters
from consumers.names import decoded
from consumers.partitions import partition_in

DEAD_LIMIT = 1000
"""Dead letters counted in each dead-letter stream: one by one, because each may belong to another queue and group."""

DEAD_FIELD = b"dead-stream"
"""The field that marks an entry as a dead letter."""

PAGE = 500


@dataclass(frozen=True, slots=True)
class QueueState:
    """One group of one stream; without a group, a stream without consumers, a list, or another library's queue.

    depth: entries in the stream. in_hand: delivered, not acknowledged. lag: not delivered yet, None if the server does
    not know. oldest: seconds since the oldest unacknowledged entry was added, None if there is none (or its ID is not a
    time). dead: dead letters that came from here; `dead_complete` is False if there may be more. library, delayed: of
    another library's queue, with the jobs that wait for a time. partitions: of a stream, whose figures are added up.
    """

    queue: str
    group: str | None
    depth: int
    in_hand: int | None = None
    lag: int | None = None
    oldest: float | None = None
    dead: int = 0
    dead_complete: bool = True
    library: str | None = None
    delayed: int | None = None
    partitions: int | None = None


async def find_streams(client: Client, pattern: str | None = None) -> list[str]:
    """Return the names of all streams (that match the pattern), by SCAN."""
    found = {name async for name in client.scan_iter(match=pattern, count=PAGE, type_="stream")}
    return sorted(map(_text, found))


async def states(client: Client, names: Sequence[str], dead_streams: Sequence[str] = ()) -> list[QueueState]:
    """Return the current state of the named streams and lists. Names of other keys are left out.

    Dead letters are counted in `dead_streams` and in those of the named streams that hold some.
    """
    kinds = await _each(client, "type", names)
    streams = [name for name, kind in zip(names, kinds, strict=True) if _text(kind) == "stream"]
    lists = [name for name, kind in zip(names, kinds, strict=True) if _text(kind) == "list"]
    lengths = dict(zip(lists, await _each(client, "llen", lists), strict=True))
    dead, complete = await _dead(client, dict.fromkeys([*dead_streams, *streams]))
    [time] = await ask_any(client, [(b"TIME",)])
    now_ms = int(time[0]) * 1000 + int(time[1]) // 1000
    found = [QueueState(name, None, length) for name, length in lengths.items()]
    depths = await _each(client, "xlen", streams)
    for name, depth, groups in zip(streams, depths, await _each(client, "xinfo_groups", streams), strict=True):
        if isinstance(depth, Exception) or isinstance(groups, Exception):
            continue  # deleted meanwhile
        if not groups:
            found.append(QueueState(name, None, depth))
        for group in groups:
            label = _text(group[b"name"])
            oldest = await _oldest(client, name, group)
            found.append(
                QueueState(
                    name,
                    label,
                    depth,
                    in_hand=group[b"pending"],
                    lag=group.get(b"lag"),
                    oldest=None if oldest is None or not 0 < oldest <= now_ms else (now_ms - oldest) / 1000,
                    dead=dead[name, label],
                    dead_complete=complete,
                )
            )
    return sorted(found, key=lambda state: (state.queue, state.group or ""))


def folded(found: Sequence[QueueState], numbers: Mapping[str, int], apart: Container[str] = ()) -> list[QueueState]:
    """Return the same with a state for each group of a stream with partitions, in the place of those of its partitions.

    numbers: of partitions, by stream. apart: partitions that stay as well.
    """
    rows = []
    parts: dict[str, list[QueueState]] = {}
    for state in found:
        place = partition_in(state.queue)
        is_part = place is not None and place[1] < numbers.get(place[0], 0)
        if place is not None and is_part:
            parts.setdefault(place[0], []).append(state)
        if not is_part or state.queue in apart:
            rows.append(state)
    for name, states in parts.items():
        rows += _summed(name, numbers[name], states)
    return sorted(rows, key=lambda state: (state.queue, state.group or ""))


def _summed(name: str, partitions: int, found: Sequence[QueueState]) -> list[QueueState]:
    """The states of the groups of all partitions. What a group does not know in one of them is unknown."""
    depths = {state.queue: state.depth for state in found}
    groups: dict[str, list[QueueState]] = {}
    for state in found:
        if state.group is not None:
            groups.setdefault(state.group, []).append(state)
    whole = QueueState(name, None, sum(depths.values()), partitions=partitions)
    return [_summed_group(whole, group, states, depths) for group, states in groups.items()] or [whole]


def _summed_group(whole: QueueState, group: str, found: Sequence[QueueState], depths: Mapping[str, int]) -> QueueState:
    """depths: of all partitions. Where the group is missing and there are entries, it may still get them."""
    here = {state.queue for state in found}
    everywhere = all(queue in here for queue, depth in depths.items() if depth)
    lags = [state.lag for state in found]
    return replace(
        whole, group=group, in_hand=sum(state.in_hand or 0 for state in found),
        lag=sum(lag for lag in lags if lag is not None) if everywhere and None not in lags else None,
        oldest=max((state.oldest for state in found if state.oldest is not None), default=None),
        dead=sum(state.dead for state in found), dead_complete=all(state.dead_complete for state in found),
    )  # fmt: skip


async def _each(client: Client, command: str, names: Sequence[str]) -> list[Any]:
    """Send one command for each key, in one round trip; errors are returned in place of replies."""
    if not names:
        return []
    async with client.pipeline(transaction=False, raise_on_error=False) as pipeline:
        replies = [getattr(pipeline, command)(name) for name in names]
    return [await _or_error(reply) for reply in replies]


async def _or_error(reply: Any) -> Any:
    try:
        return await reply
    except Exception as error:
        return error


async def _oldest(client: Client, stream: str, group: Any) -> int | None:
    """The time in the ID of the oldest unacknowledged entry, in milliseconds."""
    if group[b"pending"]:
        summary: Any = await client.xpending(stream, group[b"name"])
        if summary.minimum_identifier is not None:
            return _milliseconds(summary.minimum_identifier)
    last = _text(group[b"last-delivered-id"])
    waiting = await client.xrange(stream, start=f"({last}", end="+", count=1)
    return _milliseconds(waiting[0].identifier) if waiting else None


async def _dead(client: Client, streams: Any) -> tuple[Counter[tuple[str, str]], bool]:
    """Count dead letters by the stream and group they came from; also returns whether that is all of them."""
    counts: Counter[tuple[str, str]] = Counter()
    complete = True
    for stream in streams:
        first: Any = await client.xrange(stream, count=1)
        if not first or DEAD_FIELD not in first[0].field_values:
            continue
        seen = 0
        async with aclosing(dead_letters(client, stream)) as letters:
            async for letter in letters:
                counts[letter.stream, letter.group] += 1
                seen += 1
                if seen == DEAD_LIMIT:
                    complete = False
                    break
    return counts, complete


def _milliseconds(identifier: Any) -> int:
    return int(_text(identifier).partition("-")[0])


def _text(name: Any) -> str:
    return decoded(name) if isinstance(name, bytes) else str(name)
