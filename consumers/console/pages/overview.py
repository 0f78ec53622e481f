"""The overview: the server in figures, and its last minutes as charts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass

from coredis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.guard import visit_of
from consumers.console.history import FIELDS, Extra, History, Sample
from consumers.console.info import fields, number, parts, sections
from consumers.console.pages.charts import Chart, Line, Unit
from consumers.console.pages.streaming import event_stream
from consumers.console.views import Page, render

__all__ = ["PAGE"]

COMMANDS = 15
"""Commands that are listed: those that took the most time."""

SECTIONS = (b"server", b"clients", b"memory", b"stats", b"replication", b"persistence", b"keyspace", b"commandstats",
            b"latencystats")  # fmt: skip


CHARTS = (
    Chart("Commands a second", Unit.COUNT, [Line("commands")]),
    Chart(
        "Latency of commands", Unit.MICROSECONDS, [Line("p50", "p50"), Line("p99", "p99"), Line("p999", "p99.9")],
        logarithmic=True, key=Extra.LATENCY,
    ),
    Chart("Slow commands a second", Unit.COUNT, [Line("slow")], key=Extra.SLOW),
    Chart("Connections", Unit.COUNT, [Line("connections")]),
    Chart("Memory", Unit.BYTES, [Line("memory")]),
    Chart("Reads that found their key", Unit.PERCENT, [Line("hits")]),
    Chart("Received a second", Unit.BYTES, [Line("received")]),
    Chart("Sent a second", Unit.BYTES, [Line("sent")]),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CommandFigures:
    """calls, failed, rejected: numbers. share: of all time spent in commands, in percent. mean and percentiles: us."""

    name: str
    calls: int
    failed: int
    rejected: int
    share: float
    mean: float
    percentiles: Mapping[str, str]


async def _show(request: Request) -> Response:
    server = visit_of(request).server
    reply = await server.call(b"INFO", *SECTIONS)
    found = fields(reply)
    by_section = sections(reply)
    history: History = request.app.state.console.history
    return render(
        request, "overview.html",
        about=await server.about(), facts=_facts(found), databases=_databases(by_section.get("Keyspace", {})),
        commands=_commands(found), shown=CHARTS, error=history.error, missing=history.missing,
    )  # fmt: skip


def _facts(found: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the tables of facts: title, and rows of name and value. What a server does not have is left out."""
    wanted = {
        "Server": (
            ("Process", "process_id"), ("Uptime in days", "uptime_in_days"), ("Port", "tcp_port"), ("System", "os"),
            ("Build", "trimaran_build"),
        ),
        "Clients": (
            ("Connections", "connected_clients"), ("Limit", "maxclients"), ("Blocked", "blocked_clients"),
            ("Subscribers", "pubsub_clients"), ("Rejected", "rejected_connections"),
        ),
        "Memory": (
            ("Used", "used_memory_human"), ("Peak", "used_memory_peak_human"), ("Resident", "used_memory_rss_human"),
            ("Limit", "maxmemory_human"), ("Policy", "maxmemory_policy"), ("Evicted keys", "evicted_keys"),
        ),
        "Persistence": (
            ("Append-only file", "aof_enabled"), ("Last write of it", "aof_last_write_status"),
            ("Changes since the last save", "rdb_changes_since_last_save"), ("Last save", "rdb_last_bgsave_status"),
            ("Loading", "loading"),
        ),
        "Replication": (
            ("Role", "role"), ("Replicas", "connected_slaves"), ("Master", "master_host"),
            ("Link to the master", "master_link_status"), ("Offset", "master_repl_offset"),
        ),
    }  # fmt: skip
    tables = []
    for title, names in wanted.items():
        rows = [(shown, _word(name, found[name])) for shown, name in names if name in found]
        if rows:
            tables.append((title, rows))
    return tables


def _word(name: str, value: str) -> str:
    return {"0": "no", "1": "yes"}.get(value, value) if name in ("aof_enabled", "loading") else value


def _databases(section: Mapping[str, str]) -> list[tuple[str, int, int]]:
    """Return each database's name, keys, and keys that expire."""
    rows = []
    for name, value in section.items():
        figures = parts(value)
        rows.append((name, int(number(figures, "keys")), int(number(figures, "expires"))))
    return rows


def _commands(found: Mapping[str, str]) -> list[CommandFigures]:
    statistics = {name[8:]: parts(value) for name, value in found.items() if name.startswith("cmdstat_")}
    total = sum(number(one, "usec") for one in statistics.values()) or 1.0
    figures = [
        CommandFigures(
            name=name.replace("|", " ").upper(),
            calls=int(number(one, "calls")),
            failed=int(number(one, "failed_calls")),
            rejected=int(number(one, "rejected_calls")),
            share=100 * number(one, "usec") / total,
            mean=number(one, "usec_per_call"),
            percentiles=parts(found.get(f"latency_percentiles_usec_{name}", "")),
        )
        for name, one in statistics.items()
    ]
    return sorted(figures, key=lambda one: -one.share)[:COMMANDS]


async def _events(request: Request) -> Response:
    return event_stream(request, _updates(request.app.state.console.history, await _refusals(request)))


async def _refusals(request: Request) -> Mapping[Extra, str]:
    """Return why this visitor is not shown what the console samples for all. Raises the refusal of INFO itself."""
    asked = {Extra.LATENCY: (b"LATENCY", b"HISTOGRAM", b"info"), Extra.SLOW: (b"SLOWLOG", b"LEN")}
    info, *replies = await visit_of(request).server.execute((b"INFO", b"server"), *asked.values())
    if isinstance(info, RedisError):
        raise info
    return {
        one: f"The server refuses this: {reply}"
        for one, reply in zip(asked, replies, strict=True)
        if isinstance(reply, RedisError)
    }


async def _updates(history: History, refusals: Mapping[Extra, str]) -> AsyncGenerator[object, None]:
    """Yield the samples that there are, then each new one, in the form that live.js takes."""
    hidden = {field: None for one in refusals for field in FIELDS[one]}

    def update(samples: Sequence[Sample]) -> object:
        missing = {**history.missing, **refusals}
        return {
            "error": history.error, "rows": {one: {"missing": missing.get(one, "")} for one in Extra},
            "samples": [asdict(sample) | hidden for sample in samples],
        }  # fmt: skip

    async with aclosing(history.follow()) as added:
        yield update(history.samples)
        async for sample in added:
            yield update([] if sample is None else [sample])


PAGE = Page("Overview", "/", [Route("/", _show), Route("/overview/events", _events)])
