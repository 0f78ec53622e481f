"""The ratios that are on record, and whether measured ones are worse.

Only the CPU ratio counts. It depends far less on what else the machine does: both servers run on the same processors,
in turns of a second or so, and waiting costs neither of them anything; the throughput ratio, which is shown beside it,
also depends on which of the processes the load generator shares a core with. Three things keep what noise is left from
failing the check:

- a line's ratio is the median of its rounds, each round's ratio being between runs one after the other;
- it may be 10 % above the recorded one;
- a line that is beyond is measured again with twice the rounds, and the second result alone counts.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ALLOWED = 1.10
"""How many times its recorded CPU ratio a line may have."""


@dataclass(frozen=True)
class Ratios:
    """The broker's figures over redis-server's, in one line of the table."""

    throughput: float
    """Requests a second; more is better."""
    cpu: float
    """Server CPU time a request; less is better."""


@dataclass(frozen=True, order=True)
class Key:
    """A line at a pipeline depth. `appendfsync` is "off" without an append-only file."""

    command: str
    pipeline: int
    appendfsync: str = "off"


@dataclass(frozen=True)
class Circumstances:
    """What a record was made with."""

    date: str
    python: str
    """CPython's version."""
    build: str
    """INFO's trimaran_build: compiled, partly compiled or pure."""
    redis: str
    """Version of the redis-server beside it."""
    seconds: float
    """Length of a run: what some lines cost depends on how much has been stored."""
    rounds: int


@dataclass(frozen=True)
class Record:
    ratios: Ratios
    circumstances: Circumstances


@dataclass(frozen=True)
class Verdict:
    """A line beside its record; `measured` is None if it failed, `recorded` if there is none."""

    key: Key
    measured: Ratios | None
    recorded: Record | None

    @property
    def change(self) -> float | None:
        """The measured CPU ratio over the recorded one."""
        if self.measured is None or self.recorded is None:
            return None
        return self.measured.cpu / self.recorded.ratios.cpu

    @property
    def bad(self) -> bool:
        return self.measured is None or (self.change is not None and self.change > ALLOWED)


def judge(
    measured: Mapping[Key, Ratios | None],
    records: Mapping[Key, Record],
    measure_again: Callable[[Key], Ratios | None],
) -> list[Verdict]:
    """A verdict on each measured line, after a second measurement of those that seem worse."""
    verdicts = []
    for key, ratios in measured.items():
        verdict = Verdict(key, ratios, records.get(key))
        if verdict.bad and ratios is not None:
            verdict = Verdict(key, measure_again(key), records.get(key))
        verdicts.append(verdict)
    return verdicts


def cells(verdict: Verdict) -> Sequence[str]:
    """A verdict as cells of the table of `HEAD`."""
    measured, recorded = verdict.measured, verdict.recorded and verdict.recorded.ratios
    if measured is None:
        said = "failed"
    elif verdict.change is None:
        said = "no record"
    elif verdict.bad:
        said = f"**worse: {verdict.change:.2f} times**"
    else:
        said = f"{verdict.change:.2f} times"
    ratios = (f"{r.cpu:.2f}" if r else "-" for r in (recorded, measured))
    rates = (f"{r.throughput:.2f}" if r else "-" for r in (recorded, measured))
    return (verdict.key.command, str(verdict.key.pipeline), *ratios, said, *rates)


HEAD = ("command", "pipeline", "CPU ratio on record", "now", "change", "throughput ratio on record", "now")


def read(path: Path) -> dict[Key, Record]:
    """The records of a file; none if it doesn't exist."""
    if not path.exists():
        return {}
    return {
        Key(**line["line"]): Record(Ratios(**line["ratios"]), Circumstances(**line["circumstances"]))
        for line in json.loads(path.read_text())
    }


def write(path: Path, records: Mapping[Key, Record]) -> None:
    """Replace the file. Each record is a text line, so that a diff shows which have changed."""
    lines = (_text(key, records[key]) for key in sorted(records))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def _text(key: Key, record: Record) -> str:
    ratios = {name: round(value, 3) for name, value in asdict(record.ratios).items()}
    return json.dumps({"line": asdict(key), "ratios": ratios, "circumstances": asdict(record.circumstances)})


def differing(circumstances: Circumstances, records: Iterable[Record]) -> str | None:
    """What to know before believing a comparison; None if the records were made alike, whenever that was."""
    ours, *others = (
        f"a build that is {made.build}, CPython {made.python}, redis-server {made.redis}, runs of {made.seconds:g} s"
        for made in (circumstances, *(record.circumstances for record in records))
    )
    different = sorted(set(others) - {ours})
    return f"some records were made with {'; or '.join(different)}; this is {ours}" if different else None
