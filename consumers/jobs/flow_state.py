"""A workflow as it is stored: one hash, which only the transactions of flow_transitions.py change.

count, left         how many nodes there are, and how many of those that take part have not ended
failed, cancelled   how many ended in this way
size                bytes of the stored results
changes             how many transactions have changed it
created, ended      when, in seconds since 1970; ended only once left is 0
first               the name and outcome of the node that failed first; none once all that had failed were redriven
plan                what the end of the whole needs (Plan)
o:N                 node N's name and job, and what follows it (Links)
s:N                 its state: a letter and the number of its run, which a redrive raises
w:N                 how many of the nodes that it waits for are not done
b:N                 how to start it (Body), until it is started
h:N                 the same, kept for another failure, if it runs after failures
r:N                 its result, as msgpack

Small fields are read whenever a node ends, large ones only when they are needed. The job of node N has the ID FLOW/N,
and its entry carries its Position, by which an end is told from that of an earlier run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

__all__ = [
    "CANCELLED", "DONE", "FAILED", "MAX_NODES", "MAX_RESULT", "MAX_RESULTS", "QUEUED", "SKIPPED", "WAITING",
    "Body", "Input", "Kind", "Links", "NodeFailure", "Plan", "Position", "State", "job_id", "next_run", "split_id",
]  # fmt: skip

MAX_NODES: Final = 10_000
MAX_RESULT: Final = 1024 * 1024
"""Bytes of one node's result: each is kept with the workflow, and may become part of several jobs' arguments."""
MAX_RESULTS: Final = 64 * 1024 * 1024
"""Bytes of all results of a workflow: a callback may receive them in one argument."""

WAITING, QUEUED, DONE, FAILED, CANCELLED, SKIPPED = "W", "Q", "D", "F", "C", "S"
"""A node's states: waiting for others; enqueued and not ended; ended. A skipped one can still run after a redrive."""


class State(NamedTuple):
    """A node's state and the number of its run."""

    letter: str
    run: int

    @classmethod
    def read(cls, stored: bytes | None) -> State:
        return cls(SKIPPED, 0) if stored is None else cls(chr(stored[0]), int(stored[1:]))

    def stored(self) -> bytes:
        return f"{self.letter}{self.run}".encode()


@dataclass(frozen=True, slots=True)
class Position:
    """A job's place in a workflow. run: 0, and one more each time the node is started again."""

    flow: str
    node: int
    run: int

    @classmethod
    def read(cls, text: str) -> Position:
        """Raises ValueError."""
        flow, node, run = text.rsplit(" ", 2)
        return cls(flow, int(node), int(run))

    def __str__(self) -> str:
        return f"{self.flow} {self.node} {self.run}"


def next_run(position: str) -> str:
    """The position of the same job's next run; "" for a job that is in no workflow."""
    if not position:
        return ""
    at = Position.read(position)
    return str(Position(at.flow, at.node, at.run + 1))


class Links(msgspec.Struct, array_like=True, frozen=True):
    """followers: the nodes that wait for this one. needs: how many nodes each of them waits for. handler: the node that
    runs if this one fails, or -1. handles: this node is such a one."""

    name: str
    job: str
    followers: list[int]
    needs: list[int]
    handler: int = -1
    handles: bool = False


class Kind(IntEnum):
    """What a parameter gets: one node's result, a list of results, or a NodeFailure."""

    RESULT = 0
    LIST = 1
    FAILURE = 2


class Input(msgspec.Struct, array_like=True, frozen=True):
    """The parameter that gets the results of these nodes."""

    parameter: str
    kind: Kind
    nodes: list[int]


class Body(msgspec.Struct, array_like=True, frozen=True):
    """A job that has not been enqueued. values: its entry's fields and values. delay: seconds from its start; due:
    seconds since 1970. unique_for: how long its claim to a unique place lasts after that."""

    stream: str
    values: list[bytes]
    inputs: list[Input]
    delay: float = 0.0
    due: float = 0.0
    unique_for: float = 0.0


class Plan(msgspec.Struct, array_like=True, frozen=True):
    """last: the nodes that none follows, whose results are the workflow's. handler: the node that runs once any fails,
    or -1. keep, keep_failed: seconds. reply: the token of the program that waits."""

    last: list[int]
    single: bool
    handler: int
    keep: float
    keep_failed: float
    reply: str


class NodeFailure(msgspec.Struct, frozen=True):
    """What a job that runs after a failure can know about it.

    node: the name of the node that failed. job, id: its job's name and ID. kind, message: the exception's class and
    text. attempts: how often it was run.
    """

    node: str
    job: str
    id: str
    kind: str
    message: str
    attempts: int


encode = msgspec.msgpack.Encoder().encode
read_links = msgspec.msgpack.Decoder(Links).decode
read_body = msgspec.msgpack.Decoder(Body).decode
read_plan = msgspec.msgpack.Decoder(Plan).decode
_read_first = msgspec.msgpack.Decoder(tuple[str, bytes]).decode
_read_arguments = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def read_first(stored: bytes | None) -> tuple[str, bytes]:
    """The name and the outcome of the node that failed first."""
    assert stored is not None
    return _read_first(stored)


def with_arguments(arguments: bytes, passed: dict[str, Any]) -> bytes:
    """A job's arguments together with others, whose values are msgpack already."""
    return encode(_read_arguments(arguments) | {name: msgspec.Raw(value) for name, value in passed.items()})


def joined(results: list[bytes]) -> bytes:
    """The msgpack of a list, from that of its elements."""
    return encode([msgspec.Raw(result) for result in results])


def job_id(flow: str, node: int) -> str:
    """The ID of the job that is this node."""
    return f"{flow}/{node}"


def split_id(id: str) -> tuple[str, str]:
    """The workflow and the node that a job's ID names; the node is "" if it is not a node's."""
    flow, _, node = id.rpartition("/")
    return (flow, node) if flow and node.isdecimal() else (id, "")
