"""LATENCY: spikes by event, and how long each command's calls took."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.observation.doctor import diagnose
from broker.observation.graph import graph
from broker.table.command import ADMIN, LOADING, NOSCRIPT, STALE, Command, CommandTable, command, container
from protocol.errors import CommandError
from protocol.replies import Dialect, array, bulk, integer, integers

_FLAGS: Final = ADMIN | NOSCRIPT | LOADING | STALE
_ALL_NODES: Final = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")

container("LATENCY", group="server", since="2.8.13", summary="A container for commands about latency.")

declare_help(
    "LATENCY",
    group="server",
    since="2.8.13",
    usage={"GRAPH": "<event>", "HISTORY": "<event>", "RESET": "[<event> ...]", "HISTOGRAM": "[<command> ...]"},
)


@command("LATENCY|LATEST", arity=2, flags=_FLAGS, group="server", since="2.8.13",
         summary="Returns each event's last and longest latency spike.", complexity="O(1)",
         tips=_ALL_NODES)  # fmt: skip
def latency_latest(session: Client, args: list[bytes]) -> bytes:
    events = session.broker.latency.events
    return array([
        array([bulk(name.encode()), *map(integer, (*spikes.samples[-1], spikes.worst))])
        for name, spikes in events.items()
    ])  # fmt: skip


@command("LATENCY|HISTORY", arity=3, flags=_FLAGS, group="server", since="2.8.13",
         syntax="event", summary="Returns the times and durations of an event's latency spikes.", complexity="O(1)",
         tips=_ALL_NODES)  # fmt: skip
def latency_history(session: Client, args: list[bytes]) -> bytes:
    spikes = session.broker.latency.events.get(_name(args[2]))
    return array([integers(sample) for sample in spikes.samples] if spikes is not None else [])


@command("LATENCY|RESET", arity=-2, flags=_FLAGS, group="server", since="2.8.13",
         syntax="[event ...]", summary="Forgets the latency spikes of some events, or of all.", complexity="O(1)",
         tips=("request_policy:all_nodes", "response_policy:agg_sum"))  # fmt: skip
def latency_reset(session: Client, args: list[bytes]) -> bytes:
    return integer(session.broker.latency.reset([_name(argument) for argument in args[2:]]))


@command("LATENCY|GRAPH", arity=3, flags=_FLAGS, group="server", since="2.8.13",
         syntax="event", summary="Draws an event's latency spikes.", complexity="O(1)",
         tips=_ALL_NODES)  # fmt: skip
def latency_graph(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    name = _name(args[2])
    spikes = broker.latency.events.get(name)
    if spikes is None:
        raise CommandError(b"ERR No samples available for event '%b'" % args[2])
    picture = graph(name, list(spikes.samples), spikes.worst, broker.clock.read() // 1000)
    return session.resp.verbatim(picture.encode())


@command("LATENCY|DOCTOR", arity=2, flags=_FLAGS, group="server", since="2.8.13",
         summary="Returns a report on the latency spikes, with advice.", complexity="O(1)",
         tips=_ALL_NODES)  # fmt: skip
def latency_doctor(session: Client, args: list[bytes]) -> bytes:
    latency = session.broker.latency
    return session.resp.verbatim(diagnose(latency.events, latency.threshold).encode())


@command("LATENCY|HISTOGRAM", arity=-2, flags=_FLAGS, group="server", since="7.0.0",
         syntax="[command ...]",
         summary="Returns how many calls of each command took at most 1, 2, 4, ... microseconds.",
         complexity="O(N) where N is the number of commands with latency information being retrieved.",
         tips=_ALL_NODES)  # fmt: skip
def latency_histogram(session: Client, args: list[bytes]) -> bytes:
    table = session.broker.commands
    chosen = [found for name in args[2:] for found in _named(table, name)] if len(args) > 2 else list(table)
    resp = session.resp
    return resp.map([(bulk(each.name), _calls(resp, each)) for each in chosen if each.histogram is not None])


def _calls(resp: Dialect, of: Command) -> bytes:
    histogram = of.histogram
    assert histogram is not None
    counts = resp.map([(integer(microseconds), integer(calls)) for microseconds, calls in histogram.cumulative()])
    return resp.map([(bulk(b"calls"), integer(histogram.calls)), (bulk(b"histogram_usec"), counts)])


def _named(table: CommandTable, name: bytes) -> list[Command]:
    """The command of this name, with its subcommands; `container|subcommand` names one of those."""
    found = table.find(name.split(b"|")) if name.count(b"|") < 2 else None
    return [] if found is None else [found, *found.subcommands.values()]


def _name(argument: bytes) -> str:
    return argument.decode("utf-8", "backslashreplace")
