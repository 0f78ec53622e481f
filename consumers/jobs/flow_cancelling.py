"""Cancels a workflow: what has not been started never is, and what has been is cancelled like any job."""

from __future__ import annotations

from consumers.connection import Command
from consumers.jobs.cancelling import listed, taken_out
from consumers.jobs.clock import Clock
from consumers.jobs.flow_board import Board, load
from consumers.jobs.flow_state import CANCELLED, QUEUED, WAITING, job_id
from consumers.jobs.flow_transitions import Settled, Starting, start_and_conclude
from consumers.jobs.names import Keys
from consumers.jobs.outcomes import NONE, cancelled, store
from consumers.transactions import Ask, Transactions

__all__ = ["cancel_flow"]


async def cancel_flow(keys: Keys, transactions: Transactions, id: str, clock: Clock) -> bool:
    """Cancel everything that has not ended, in one transaction; returns whether there was anything."""

    async def decide(ask: Ask) -> tuple[list[Command], bool]:
        board = Board(keys, id)
        await load(ask, [board])
        if not board.exists or not board.number("left"):
            return [], False
        board.want_all()
        await load(ask, [board])
        nodes = range(board.count)
        queued = [job_id(id, node) for node in nodes if board.state(node).letter == QUEUED]
        delayed = await _delayed(ask, keys, queued)
        keep, now = board.plan.keep, clock()
        outcome = cancelled((*NONE[:3], now, *NONE[4:]))
        commands = _cancel_waiting(keys, board, outcome)
        for node in nodes:
            job = job_id(id, node)
            if (body := delayed.get(job)) is not None:
                _cancelled(board, node)
                commands += taken_out(keys, job, body, outcome, keep)
        if delayed:
            commands += [(b"INCR", keys.moves), (b"ZREM", keys.later, *delayed)]
        if running := [one for one in queued if one not in delayed]:
            commands += listed(keys, running, now)
        settled = Settled(commands)
        await start_and_conclude(ask, keys, [Starting(board)], now, settled)
        return settled.commands, True

    return await transactions.run([keys.flow(id), keys.moves], decide)


async def _delayed(ask: Ask, keys: Keys, ids: list[str]) -> dict[str, bytes]:
    """Those of the jobs that wait for a time."""
    if not ids:
        return {}
    dues, bodies = await ask([(b"ZMSCORE", keys.later, *ids), (b"HMGET", keys.bodies, *ids)])
    return {id: body for id, due, body in zip(ids, dues, bodies, strict=True) if due is not None and body is not None}


def _cancel_waiting(keys: Keys, board: Board, outcome: bytes) -> list[Command]:
    plan, commands = board.plan, list[Command]()
    for node in range(board.count):
        if board.state(node).letter != WAITING:
            continue
        if node == plan.handler:
            board.set_state(node, CANCELLED, 0)
            continue
        _cancelled(board, node)
        if not board.links(node).handles:
            commands += store(keys, job_id(board.id, node), outcome, plan.keep)
    return commands


def _cancelled(board: Board, node: int) -> None:
    board.set_state(node, CANCELLED, board.state(node).run)
    board.add("left", -1)
    board.add("cancelled", 1)
