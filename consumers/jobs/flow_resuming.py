"""Resumes a workflow whose dead node is redriven: the node is queued again, and what was skipped because of it waits.

The dead letter carries the position of the next run, so nothing that is left of an earlier one can end it.
Queue.redrive resumes the workflow in the transaction that returns the job. A job that came back in another way
(`trimaran redrive` knows nothing of workflows) resumes it when a worker takes it, before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from consumers.connection import Command
from consumers.deadletters import DeadLetter
from consumers.jobs.entries import FLOW
from consumers.jobs.flow_board import Board, load
from consumers.jobs.flow_state import CANCELLED, FAILED, QUEUED, SKIPPED, WAITING, Position, job_id
from consumers.jobs.flow_transitions import descendants
from consumers.jobs.names import Keys
from consumers.transactions import Ask, Transactions

__all__ = ["Chance", "redrive", "resume"]


class Chance(Enum):
    """Whether a redriven job may run: yes; its workflow is gone; its workflow has gone on without this run."""

    RUN = auto()
    GONE = auto()
    PASSED = auto()


async def resume(ask: Ask, keys: Keys, at: Position) -> tuple[list[Command], Chance]:
    """Queue a node again that had failed and was redriven. Call it while the workflow's hash is watched."""
    board = Board(keys, at.flow)
    board.want(f"s:{at.node}")
    await load(ask, [board])
    if not board.exists:
        return [], Chance.GONE
    state = board.state(at.node)
    if state != (FAILED, at.run - 1):
        return [], Chance.RUN if state == (QUEUED, at.run) else Chance.PASSED
    board.want_all()
    await load(ask, [board])
    board.set_state(at.node, QUEUED, at.run)
    board.add("left", 1)
    if board.add("failed", -1) == 0:
        board.remove("first")
    board.remove("ended")
    blocked: set[int] = set()
    for node in range(board.count):
        if board.state(node).letter in (FAILED, CANCELLED):
            blocked.update(descendants(board, node))
    again = [node for node in descendants(board, at.node) if node not in blocked]
    again = [node for node in again if board.state(node).letter == SKIPPED]
    for node in again:
        handler = board.links(node).handler
        for one in (node, handler) if handler >= 0 else (node,):
            board.set_state(one, WAITING, 0)
            board.add("left", 1)
    results = [keys.result(job_id(board.id, node)) for node in (at.node, *again)]
    return [
        *board.commands(),
        (b"PERSIST", board.key),
        (b"DEL", keys.result(board.id), *results),
    ], Chance.RUN


async def redrive(keys: Keys, transactions: Transactions, letter: DeadLetter, commands: Sequence[Command]) -> bool:
    """Execute the commands that return a dead job, and resume its workflow; returns False if it is in none."""
    try:
        at = Position.read(letter.fields[FLOW.decode()].decode())
    except (KeyError, ValueError):
        return False

    async def decide(ask: Ask) -> tuple[list[Command], bool]:
        resuming, _ = await resume(ask, keys, at)
        return [*commands, *resuming], True

    return await transactions.run([keys.flow(at.flow)], decide)
