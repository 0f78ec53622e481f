"""Measure the broker beside a redis-server: `make bench`, or `python tests/benchmarks/run.py --quick --only
GET,SET`.

All servers run at the same time, without persistence unless --appendfsync is given, and are loaded in turns (round by
round, another one first each time), so that what else the machine does slows them all alike. A line's figures are the
medians of its rounds; the throughput ratio is the broker's requests a second over redis-server's (more is better), the
CPU ratio its server CPU time a request over redis-server's (less is better), each the median of the rounds' ratios.
Only ratios taken in one run mean anything.

--check compares with the ratios on record; its exit status is 1 if a line failed, or its CPU ratio got worse by over
10 %. recorded.py says why noise rarely comes to that. --record puts the ratios of this run on record, which is for a
machine that does nothing else.

--tree PATH and --against COMMAND add a third server: the broker of another checkout, or any command line, such as
`--against '/usr/bin/valkey-server {settings}'`. {settings} stands for what the others get; {port} and {dir} can be
named one by one. Such a command runs in a folder of its own, so that `python -m broker` is what that Python has
installed.
"""

import argparse
import datetime
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import console
import delayed
import durability
import latency
import lines
import memory
import policies
import recorded
import replication
import tables
from servers import ROOT, LoadFailed, Server, raise_file_limit
from workloads import WORKLOADS

SETTINGS = "--port {port} --bind 127.0.0.1 --dir {dir} --maxclients 20000 --auto-aof-rewrite-percentage 0"
RECORDS = Path(__file__).with_name("recorded.json")
SECTIONS = {
    "clients": lambda servers, quick: memory.idle_clients(servers, 1_000 if quick else 10_000),
    "memory": lambda servers, quick: memory.stream_memory(servers, 100_000 if quick else 1_000_000),
    "types": lambda servers, quick: memory.type_memory(servers, 20_000 if quick else 500_000),
    "latency": lambda servers, quick: latency.latency(servers, *((50_000, 1, 1) if quick else (1_000_000, 4, 3))),
    "load": lambda servers, quick: durability.load(servers, 50_000 if quick else 1_000_000),
    "replication": lambda servers, quick: replication.cost(
        servers, *((3, 0.3, 100_000) if quick else (5, 1.0, 1_000_000))
    ),
    "policies": lambda servers, quick: policies.cost(*((2, 1_000, 10_000) if quick else (7, 10_000, 100_000))),
    "delayed": lambda servers, quick: delayed.cost(*((2, 10_000, 50_000) if quick else (7, 100_000, 1_000_000))),
    "console": lambda servers, quick: console.cost(
        *((1, 3.0, 90_000, 20_000) if quick else (5, 20.0, 90_000, 200_000))
    ),
    "bgsave": lambda servers, quick: durability.background_save(servers, 100_000 if quick else 1_000_000),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    names = ", ".join((*WORKLOADS, *SECTIONS))
    parser.add_argument("--only", metavar="A,B", help=f"some of: {names}")
    parser.add_argument("--rounds", type=int, help="rounds of each line (default 5, quick 3)")
    parser.add_argument("--pipeline", default="1,16", help="pipeline depths (default 1,16)")
    parser.add_argument("--seconds", type=float, help="aimed length of one run (default 2, quick 0.7)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, no sections unless named")
    parser.add_argument("--appendfsync", choices=("always", "everysec", "no"), help="with an append-only file")
    parser.add_argument("--redis", default=shutil.which("redis-server"), help="the redis-server to compare with")
    parser.add_argument("--ours", metavar="COMMAND", help="another command line in the broker's place")
    third = parser.add_mutually_exclusive_group()
    third.add_argument("--against", metavar="COMMAND", help="command line of a third server")
    third.add_argument("--tree", metavar="PATH", type=Path, help="checkout of a third; run by its .venv if it has one")
    parser.add_argument("--check", action="store_true", help="compare the CPU ratios with those on record; no sections")
    parser.add_argument("--record", action="store_true", help="put this run's ratios on record; no sections")
    parser.add_argument("--records", type=Path, default=RECORDS, help=f"the record (default {RECORDS.name})")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.redis is None or not all(map(shutil.which, ("redis-benchmark", "redis-cli"))):
        raise SystemExit("needs redis-server, redis-benchmark and redis-cli on the PATH")
    bare = options.quick or options.check or options.record
    chosen = options.only.split(",") if options.only else [*WORKLOADS, *([] if bare else SECTIONS)]
    unknown = [name for name in chosen if name not in WORKLOADS and name not in SECTIONS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}")
    records = recorded.read(options.records)
    if options.check and not records:
        raise SystemExit(f"nothing to check: {options.records} has no records (--record makes them)")
    raise_file_limit()
    servers: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="trimaran-bench-") as neutral:
        try:
            for name, command, folder in commands(options, Path(neutral)):
                servers.append(Server(name, command, folder))
            print(introduction(servers), flush=True)
            run = Run(options, servers)
            run.workloads([name for name in chosen if name in WORKLOADS])
            for name in chosen:
                if name in SECTIONS:
                    run.section(name)
            return run.settle_records(records)
        finally:
            for server in servers:
                server.stop()


def commands(options: argparse.Namespace, neutral: Path) -> Sequence[tuple[str, Sequence[str], Path]]:
    """Each server's name, command line and working folder, redis-server first."""
    settings = [*SETTINGS.split(), "--appendonly", "yes" if options.appendfsync else "no"]
    settings += ["--appendfsync", options.appendfsync or "no", "--save", ""]

    def given(command: str) -> Sequence[str]:
        program, *rest = shlex.split(command)
        if "/" in program:
            program = str(Path(program).absolute())
        return [program, *(part for word in rest for part in (settings if word == "{settings}" else [word]))]

    found: list[tuple[str, Sequence[str], Path]] = [("redis", [options.redis, *settings], neutral)]
    if options.ours:
        found.append(("ours", given(options.ours), neutral))
    else:
        found.append(("ours", [sys.executable, "-m", "broker", "serve", *settings], ROOT))
    if options.against:
        found.append(("against", given(options.against), neutral))
    elif options.tree:
        tree = options.tree.absolute()
        python = tree / ".venv/bin/python"
        program = str(python) if python.exists() else sys.executable
        found.append(("against", [program, "-m", "broker", "serve", *settings], tree))
    return found


def introduction(servers: Sequence[Server]) -> str:
    """When this was, and what the servers are."""
    parts = [datetime.date.today().isoformat()]
    for server in servers:
        version = server.info("server", "trimaran_version")
        if version is None:
            parts.append(f"{server.name} is redis-server {server.info('server', 'redis_version')}")
        else:
            python, build = (server.info("server", field) for field in ("python_version", "trimaran_build"))
            parts.append(f"{server.name} is trimaran {version} ({build}) on CPython {python}")
    return "; ".join(parts) + "\n"


@dataclass
class Run:
    """One run of the program: the lines that it has measured, and what becomes of them."""

    options: argparse.Namespace
    servers: Sequence[Server]

    def __post_init__(self) -> None:
        self.rounds = self.options.rounds or (3 if self.options.quick else 5)
        self.seconds = self.options.seconds or (0.7 if self.options.quick else 2.0)
        self.measured: dict[recorded.Key, recorded.Ratios | None] = {}

    def workloads(self, names: Sequence[str]) -> None:
        """Print the table, a line as soon as it is known, and what it comes to."""
        if not names:
            return
        print(tables.head(lines.head(self.servers)), flush=True)
        found = []
        for pipeline in map(int, self.options.pipeline.split(",")):
            for name in names:
                line = self._line(name, pipeline, self.rounds)
                self.measured[self._key(name, pipeline)] = _ratios(line)
                found += [line] if line else []
        if len(found) > 1:
            print(lines.summary(self.servers, found), flush=True)

    def _key(self, name: str, pipeline: int) -> recorded.Key:
        return recorded.Key(name, pipeline, self.options.appendfsync or "off")

    def _line(self, name: str, pipeline: int, rounds: int) -> lines.Line | None:
        """Measure a line and print it; None if it failed."""
        try:
            line = lines.measure(self.servers, WORKLOADS[name], pipeline, self.seconds, rounds)
        except LoadFailed as error:
            print(tables.row(lines.failed(WORKLOADS[name], pipeline, self.servers, error)), flush=True)
            return None
        print(tables.row(lines.cells(line)), flush=True)
        return line

    def section(self, name: str) -> None:
        try:
            print(SECTIONS[name](self.servers, self.options.quick), flush=True)
        except LoadFailed as error:
            print(f"\n{name} failed: {error}", flush=True)

    def settle_records(self, records: Mapping[recorded.Key, recorded.Record]) -> int:
        """Compare with the records and make new ones, as the options say; the exit status."""
        status = 0
        if self.options.check:
            status = self._check(records)
        if self.options.record:
            made = self._circumstances()
            new = {key: recorded.Record(ratios, made) for key, ratios in self.measured.items() if ratios}
            recorded.write(self.options.records, {**records, **new})
            print(f"\n{len(new)} of {len(self.measured)} lines are on record now, in {self.options.records}")
        return status

    def _circumstances(self) -> recorded.Circumstances:
        redis, ours = self.servers[:2]
        return recorded.Circumstances(
            date=datetime.date.today().isoformat(),
            python=ours.info("server", "python_version") or platform.python_version(),
            build=ours.info("server", "trimaran_build") or "unknown",
            redis=redis.info("server", "redis_version") or "unknown",
            seconds=self.seconds,
            rounds=self.rounds,
        )

    def _check(self, records: Mapping[recorded.Key, recorded.Record]) -> int:
        verdicts = recorded.judge(dict(self.measured), records, self._again)
        print(tables.table("beside the record", recorded.HEAD, [recorded.cells(verdict) for verdict in verdicts]))
        used = [verdict.recorded for verdict in verdicts if verdict.recorded]
        note = recorded.differing(self._circumstances(), used)
        if note:
            print(f"\nNote: {note}.")
        bad = sum(verdict.bad for verdict in verdicts)
        print(f"\n{bad} of {len(verdicts)} lines failed or got worse")
        return 1 if bad else 0

    def _again(self, key: recorded.Key) -> recorded.Ratios | None:
        print(f"\nworse than its record, measured again with {2 * self.rounds} rounds:\n")
        print(tables.head(lines.head(self.servers)), flush=True)
        ratios = _ratios(self._line(key.command, key.pipeline, 2 * self.rounds))
        self.measured[key] = ratios
        return ratios


def _ratios(line: lines.Line | None) -> recorded.Ratios | None:
    """The broker's ratios to redis-server."""
    pair = lines.pairs(2)[0]
    return None if line is None else recorded.Ratios(line.throughput_ratio(pair), line.cpu_ratio(pair))


if __name__ == "__main__":
    sys.exit(main())
