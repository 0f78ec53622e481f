"""Redirections in a cluster whose slots move: commands that were not executed here and must be sent elsewhere.

While a slot migrates, its keys move one by one. The node that still owns the slot replies ASK for a key that it does
not have (any more): send this one command to the other node, after ASKING. If the keys of one command or transaction
are on both sides, or nowhere and the target can't know that, the reply is TRYAGAIN until the slot has moved. After
that, the old node replies MOVED. None of these has executed anything, so all can be followed safely.

A batch is followed unit by unit, a unit being one command or a transaction from MULTI to EXEC.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence

from coredis.connection import TCPLocation
from coredis.exceptions import AskError, MovedError, TryAgainError

from consumers.connecting import Command, Reply

__all__ = ["MIGRATION_SECONDS", "MOST_REDIRECTIONS", "follow", "is_unstable", "target"]

MIGRATION_SECONDS = 30.0
"""How long one-off operations (enqueueing, redriving) wait for a slot that is being moved."""

MOST_REDIRECTIONS = 5
"""How often a command is forwarded: a node that redirects may not know yet that the slot came back."""


async def follow(
    commands: Sequence[Command],
    replies: list[Reply],
    source: object,
    send: Callable[[TCPLocation, list[Command]], Awaitable[list[Reply]]],
    moved: Callable[[MovedError], None],
) -> dict[int, TCPLocation]:
    """Send redirected commands to the right nodes and replace the redirections with the new replies.

    source: the location that replied. send: executes commands on another node. moved: called for each MOVED.
    Returns where the units were finally executed, by the index of their first command.
    """
    places: dict[int, TCPLocation] = {}
    for _ in range(MOST_REDIRECTIONS):
        if not any(isinstance(reply, AskError) for reply in replies):
            break
        # first group all units of one node, in order
        waiting: dict[tuple[TCPLocation, bool], list[slice]] = {}
        for unit in _units(commands):
            error = next((reply for reply in replies[unit] if isinstance(reply, AskError)), None)
            if error is not None:
                place = target(error, source), not isinstance(error, MovedError)
                if isinstance(error, MovedError) and place not in waiting:
                    moved(error)
                waiting.setdefault(place, []).append(unit)
        for (node, asking), units in waiting.items():
            # ASKING applies to one command or a whole transaction
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
    """Where a redirection points; a node that does not know its own name means the host at which it was reached."""
    host = error.host or (source.host if isinstance(source, TCPLocation) else "")
    return TCPLocation(host, error.port)


def is_unstable(error: BaseException) -> bool:
    """Whether nothing was executed because a slot is being moved."""
    return isinstance(error, TryAgainError | AskError)
