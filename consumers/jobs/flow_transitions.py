"""What happens in a workflow when its nodes end: a transaction that is executed exactly once, however often a job runs.

`settle` decides for many ended jobs at a time. An end counts only if the node is queued for the very run that ended;
everything that follows from it is part of the same transaction: the stored result, the dead letter, the start of what
waited for it, and the end of the whole. An end that does not count, because the job ran twice, only acknowledges its
entry.

- A node is started once all nodes that it waits for are done.
- If one fails or is cancelled, all that depend on it are skipped. After a failure its own handler (on_failure) is
  started, and after the first failure that of the whole workflow.
- A workflow has ended once nothing is left that is queued or can still be started.
- A failed node that is redriven resumes the workflow (flow_resuming.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from consumers.connection import Command
from consumers.jobs import flow_state, outcomes
from consumers.jobs.entries import JobEntry
from consumers.jobs.flow_board import Board, load
from consumers.jobs.flow_state import (
    CANCELLED,
    DONE,
    FAILED,
    MAX_RESULTS,
    QUEUED,
    SKIPPED,
    WAITING,
    Body,
    Kind,
    NodeFailure,
    Position,
    job_id,
    read_body,
)
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.jobs.outcomes import JobFailed, failure_of_flow, outcome, store
from consumers.jobs.turns import TURN, line_up
from consumers.jobs.uniqueness import claim
from consumers.transactions import Ask

__all__ = ["Ending", "Settled", "Starting", "descendants", "settle", "start_and_conclude", "start_commands"]

_LETTERS = {
    outcomes.SUCCESS: DONE, outcomes.FAILURE: FAILED, outcomes.CANCELLED: CANCELLED, outcomes.EXPIRED: CANCELLED,
}  # fmt: skip
"""An expired job is not run either, and nobody has to be told of an error."""


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """A node's job has ended. stored: its outcome. always: commands to execute in any case; commands: if it counts."""

    at: Position
    job: str
    stored: bytes
    commands: Sequence[Command] = ()
    always: Sequence[Command] = ()


@dataclass(slots=True)
class Settled:
    """What a transaction does. counted: the ends that count. too_large: those whose results would be too many bytes,
    which are left as they were. due: when the first job that was started with a delay is due."""

    commands: list[Command] = field(default_factory=list)
    counted: list[Ending] = field(default_factory=list)
    too_large: list[Ending] = field(default_factory=list)
    due: float = math.inf


async def settle(ask: Ask, keys: Keys, endings: Sequence[Ending], now: float) -> Settled:
    """Decide what follows from these ends. Call it while the workflows' hashes are watched."""
    settled = Settled()
    boards = {flow: Board(keys, flow) for flow in dict.fromkeys(ending.at.flow for ending in endings)}
    for ending in endings:
        boards[ending.at.flow].want(f"s:{ending.at.node}", f"o:{ending.at.node}")
    await load(ask, boards.values())
    for ending in endings:
        _count(boards[ending.at.flow], ending, settled)
    for ending in settled.counted:
        _want_what_follows(boards[ending.at.flow], ending)
    await load(ask, boards.values())
    starting = {flow: Starting(boards[flow]) for flow in dict.fromkeys(ending.at.flow for ending in settled.counted)}
    for ending in settled.counted:
        settled.commands += starting[ending.at.flow].follow(keys, ending)
    await start_and_conclude(ask, keys, starting.values(), now, settled)
    return settled


def _count(board: Board, ending: Ending, settled: Settled) -> None:
    """Note the end if it counts."""
    at = ending.at
    letter = _LETTERS[ending.stored[:1]]
    counts = board.exists and board.state(at.node) == (QUEUED, at.run)
    result = bytes(outcomes.ended(ending.stored)[1].value) if letter == DONE else b""
    if counts and board.number("size") + len(result) > MAX_RESULTS:
        settled.too_large.append(ending)
        return
    settled.commands += ending.always
    if counts or not board.exists:
        # once its workflow is gone, it is a job like any other
        settled.commands += ending.commands
    if not counts:
        return
    settled.counted.append(ending)
    board.set_state(at.node, letter, at.run)
    board.add("left", -1)
    if letter == DONE:
        board.set(f"r:{at.node}", result)
        board.add("size", len(result))
    else:
        board.add("failed" if letter == FAILED else "cancelled", 1)


def _want_what_follows(board: Board, ending: Ending) -> None:
    if board.state(ending.at.node).letter != DONE:
        board.want_all()
        return
    links = board.links(ending.at.node)
    for follower, need in zip(links.followers, links.needs, strict=True):
        board.want(f"s:{follower}", f"w:{follower}")
        if need == 1:
            # it can be started for certain: this saves a round trip
            board.want(f"b:{follower}")
    if links.handler >= 0:
        board.want(f"s:{links.handler}")


class Starting:
    """What is started in a workflow. failures: what the handlers among it get."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.nodes: list[int] = []
        self.failures: dict[int, bytes] = {}

    def follow(self, keys: Keys, ending: Ending) -> list[Command]:
        """Decide what starts after the end, and what is skipped."""
        board, node = self.board, ending.at.node
        letter, links = board.state(node).letter, board.links(node)
        if letter == DONE:
            for follower in links.followers:
                if board.add(f"w:{follower}", -1) == 0 and board.state(follower).letter == WAITING:
                    self._start(follower, 0)
            return self._skip(keys, [links.handler])
        skipped = self._skip(keys, descendants(board, node))
        if letter == CANCELLED:
            return skipped + self._skip(keys, [links.handler])
        failure = _failure_of(links.name, ending)
        self._handle(links.handler, failure, counted=True)
        if board.get("first") is None:
            # from here on the workflow is a failed one
            board.set("first", flow_state.encode((links.name, ending.stored)))
            if not links.handles:
                self._handle(board.plan.handler, failure, counted=False)
        return skipped

    def _start(self, node: int, run: int) -> None:
        self.board.set_state(node, QUEUED, run)
        self.nodes.append(node)

    def _handle(self, handler: int, failure: bytes, *, counted: bool) -> None:
        """Start a handler, unless it was cancelled or is about to run anyway. counted: it is part of what is left."""
        if handler < 0:
            return
        letter, run = self.board.state(handler)
        if letter == WAITING:
            self._start(handler, 0)
            self.board.add("left", 0 if counted else 1)
        elif letter in (DONE, FAILED):
            # this is another failure, after a redrive
            if letter == FAILED:
                self.board.add("failed", -1)
            self._start(handler, run + 1)
            self.board.add("left", 1)
        else:
            return
        self.failures[handler] = failure

    def _skip(self, keys: Keys, nodes: Iterable[int]) -> list[Command]:
        """Skip these nodes and their handlers, if they wait."""
        board, commands = self.board, list[Command]()
        for node in nodes:
            if node < 0 or board.state(node).letter != WAITING:
                continue
            board.set_state(node, SKIPPED, 0)
            board.add("left", -1)
            links = board.links(node) if f"o:{node}" in board else None
            if links is None or links.handles:
                continue
            commands += store(keys, job_id(board.id, node), outcomes.skipped(), board.plan.keep_failed)
            commands += self._skip(keys, [links.handler])
        return commands


def _failure_of(name: str, ending: Ending) -> bytes:
    """What a handler gets, as msgpack."""
    try:
        outcome(ending.stored, lambda data: None)
    except JobFailed as error:
        id = job_id(ending.at.flow, ending.at.node)
        return flow_state.encode(NodeFailure(name, ending.job, id, error.kind, error.message, error.attempts))
    raise ValueError("the node has not failed")


def descendants(board: Board, node: int) -> Iterator[int]:
    """All nodes that depend on this one, without their handlers; every state and all links are known."""
    seen, left = {node}, [node]
    while left:
        for follower in board.links(left.pop()).followers:
            if follower not in seen:
                seen.add(follower)
                left.append(follower)
                yield follower


# Starting, and the end of the whole.


async def start_and_conclude(ask: Ask, keys: Keys, starting: Iterable[Starting], now: float, settled: Settled) -> None:
    """Add the commands that start the nodes, those of workflows that have ended, and the changed fields."""
    some = list(starting)
    boards = [one.board for one in some]
    over = [board for board in boards if board.number("left") == 0]
    for one in some:
        one.board.want(*(f"{kind}:{node}" for node in one.nodes for kind in "bh"))
    for board in over:
        board.want("plan", "first")
    await load(ask, boards)
    bodies = {(one.board.id, node): _body(one.board, node) for one in some for node in one.nodes}
    for one in some:
        for node in one.nodes:
            for input in bodies[one.board.id, node].inputs:
                one.board.want(*(f"r:{source}" for source in input.nodes))
    for board in over:
        board.want(f"s:{board.plan.handler}" if board.plan.handler >= 0 else "plan")
        if not board.number("failed") and not board.number("cancelled"):
            board.want(*(f"r:{node}" for node in board.plan.last))
    await load(ask, boards)
    for one in some:
        for node in one.nodes:
            commands, due = _started(keys, one, node, bodies[one.board.id, node], now)
            settled.commands += commands
            settled.due = min(settled.due, due)
    for board in boards:
        if board in over:
            settled.commands += _conclude(keys, board, now)
        else:
            settled.commands += board.commands()


def _body(board: Board, node: int) -> Body:
    stored = board.get(f"b:{node}") or board.get(f"h:{node}")
    assert stored is not None
    return read_body(stored)


def _started(keys: Keys, starting: Starting, node: int, body: Body, now: float) -> tuple[list[Command], float]:
    """Commands that enqueue a node, and when it is due."""
    board = starting.board
    passed: dict[str, bytes] = {}
    for input in body.inputs:
        if input.kind is Kind.FAILURE:
            passed[input.parameter] = starting.failures[node]
            continue
        results = [board.get(f"r:{source}") or b"" for source in input.nodes]
        passed[input.parameter] = flow_state.joined(results) if input.kind is Kind.LIST else results[0]
    if (stored := board.get(f"b:{node}")) is not None:
        board.remove(f"b:{node}")
        if node in starting.failures:
            board.set(f"h:{node}", stored)
    return start_commands(keys, Position(board.id, node, board.state(node).run), body, passed, now)


def start_commands(
    keys: Keys, at: Position, body: Body, passed: dict[str, bytes], now: float
) -> tuple[list[Command], float]:
    """Commands that enqueue a node's job, and when it is due (infinity: now). passed: arguments, as msgpack."""
    entry = replace(JobEntry.read(body.values), flow=str(at))
    if passed:
        entry = replace(entry, arguments=flow_state.with_arguments(entry.arguments, passed))
    due = body.due or (now + body.delay if body.delay > 0 else 0.0)
    commands: list[Command] = []
    if entry.unique:
        commands += claim(keys, entry.unique, entry.id, now, body.unique_for + max(0.0, due - now))
    if due:
        return [*commands, *postpone(keys, body.stream, entry, due)], due
    if entry.turn:
        commands += line_up(keys, body.stream, entry, now * 1e6)
        return [*commands, (b"SPUBLISH", keys.control, TURN)], math.inf
    return [*commands, (b"XADD", body.stream, b"*", *entry.values())], math.inf


def _conclude(keys: Keys, board: Board, now: float) -> list[Command]:
    """Commands that end a workflow of which nothing is left; its changed fields are among them."""
    plan = board.plan
    if plan.handler >= 0 and board.state(plan.handler).letter == WAITING:
        board.set_state(plan.handler, SKIPPED, 0)
    board.set("ended", f"{now:.3f}".encode())
    keep = plan.keep
    if board.number("failed"):
        keep = max(plan.keep, plan.keep_failed)
        name, stored = flow_state.read_first(board.get("first"))
        stored = failure_of_flow(name, stored)
    elif board.number("cancelled"):
        stored = outcomes.cancelled((*outcomes.NONE[:3], now, *outcomes.NONE[4:]))
    else:
        results = [board.get(f"r:{node}") or b"" for node in plan.last]
        value = msgspec.Raw(results[0] if plan.single else flow_state.joined(results))
        stored = outcomes.success(value, (*outcomes.NONE[:3], now, *outcomes.NONE[4:]))
    return [
        *board.commands(),
        (b"PEXPIRE", board.key, round(keep * 1000)) if keep > 0 else (b"DEL", board.key),
        *store(keys, board.id, stored, keep),
        (b"SPUBLISH", keys.replies(plan.reply), board.id),
    ]
