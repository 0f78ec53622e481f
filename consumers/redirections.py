"""Redirections of a cluster whose slots move: what was not executed here, and has to be sent elsewhere.

While a slot migrates, its keys move one by one. The node that still owns the slot answers ASK for a key that it does
not have (any more): the other node is to be asked, for this once, after ASKING. Where the keys of one command or
transaction lie on both sides, or are nowhere and the target can't know that, it is TRYAGAIN, until the slot has moved.
Once it has, the old node answers MOVED. None of them executed anything, so all may be followed without doubt.

A batch is followed unit by unit, a unit being one command, or a transaction from MULTI to EXEC.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence

from coredis.connection import TCPLocation
from coredis.exceptions import AskError, MovedError, TryAgainError

from consumers.connecting import Command, Reply

__all__ = ["MIGRATION_SECONDS", "follow", "is_unstable", "target"]

MIGRATION_SECONDS = 30.0
"""How long what is asked for once (enqueueing, redriving) waits for a slot that is on its way."""

MOST_REDIRECTIONS = 5
"""How often a command is sent on: a node that points elsewhere may not have heard yet that the slot came back."""


async def follow(
    commands: Sequence[Command],
    replies: list[Reply],
    source: object,
    send: Callable[[TCPLocation, list[Command]], Awaitable[list[Reply]]],
    moved: Callable[[MovedError], None],
) -> dict[int, TCPLocation]:
    """Send what was redirected to where it belongs, putting the new replies in place of the redirections.

    source: the location that answered. send: executes commands on another node. moved: is told of each move.
    Returns where the units were executed in the end, by the place of their first command.
    """
    places: dict[int, TCPLocation] = {}
    for _ in range(MOST_REDIRECTIONS):
        if not any(isinstance(reply, AskError) for reply in replies):
            break
        # first all of one node together, in order
        waiting: dict[tuple[TCPLocation, bool], list[slice]] = {}
        for unit in _units(commands):
            error = next((reply for reply in replies[unit] if isinstance(reply, AskError)), None)
            if error is not None:
                place = target(error, source), not isinstance(error, MovedError)
                if isinstance(error, MovedError) and place not in waiting:
                    moved(error)
                waiting.setdefault(place, []).append(unit)
        for (node, asking), units in waiting.items():
            # ASKING holds for one command, or for a whole transaction
            before: list[Command] = [(b"ASKING",)] if asking else []
            answers = await send(node, [one for unit in units for one in (*before, *commands[unit])])
            begin = 0
            for unit in units:
                begin += len(before)
                end = begin + unit.stop - unit.start
                replies[unit] = answers[begin:end]
                places[unit.start] = node
                begin = end
    return places


def _units(commands: Sequence[Command]) -> Iterator[slice]:
    begun: int | None = None
    for place, command in enumerate(commands):
        if command[0] == b"MULTI":
            begun = place
        elif command[0] == b"EXEC" or begun is None:
            yield slice(place if begun is None else begun, place + 1)
            begun = None


def target(error: AskError, source: object) -> TCPLocation:
    """Where a redirection points; a node that does not know its name means the host that it was reached by."""
    host = error.host or (source.host if isinstance(source, TCPLocation) else "")
    return TCPLocation(host, error.port)


def is_unstable(error: BaseException) -> bool:
    """Whether nothing was executed because a slot is on its way."""
    return isinstance(error, TryAgainError | AskError)
