"""The table of workloads: a line for each at each pipeline depth, and what they come to together."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tables
from loads import Sample
from servers import LoadFailed, Server
from workloads import Workload

WORST = 3


@dataclass(frozen=True)
class Pair:
    """Two servers, by their places in the row: figures of `one` over those of `other`."""

    one: int
    other: int


def pairs(count: int) -> tuple[Pair, ...]:
    """What is compared: each with redis-server, which is first, and ours with the third if there is one."""
    return (Pair(1, 0),) if count == 2 else (Pair(1, 0), Pair(2, 0), Pair(1, 2))


@dataclass(frozen=True)
class Line:
    """A workload's rounds at one depth; `samples` of one server after the other, in the servers' order."""

    workload: Workload
    pipeline: int
    samples: tuple[Sequence[Sample], ...]

    def rate(self, server: int) -> float:
        return statistics.median(sample.rate for sample in self.samples[server])

    def cpu(self, server: int) -> float:
        return statistics.median(sample.cpu for sample in self.samples[server])

    def throughput_ratio(self, pair: Pair) -> float:
        return self._ratio(pair, lambda sample: sample.rate)

    def cpu_ratio(self, pair: Pair) -> float:
        return self._ratio(pair, lambda sample: sample.cpu)

    def _ratio(self, pair: Pair, figure: Callable[[Sample], float]) -> float:
        """The median of the rounds' ratios, whose runs follow each other: what slows the machine slows both."""
        both = zip(self.samples[pair.one], self.samples[pair.other], strict=True)
        return statistics.median(figure(one) / figure(other) for one, other in both)


def measure(servers: Sequence[Server], workload: Workload, pipeline: int, seconds: float, rounds: int) -> Line:
    """Run a workload on each server in turn; each is the first one equally often. Raises LoadFailed."""
    requests = workload.requests(seconds, pipeline)
    samples: tuple[list[Sample], ...] = tuple([] for _ in servers)
    for number in range(rounds):
        for place in range(len(servers)):
            place = (place + number) % len(servers)
            samples[place].append(workload.measure(servers[place], requests, pipeline))
    return Line(workload, pipeline, samples)


def head(servers: Sequence[Server]) -> Sequence[str]:
    names = [server.name for server in servers]
    compared = [f"{names[pair.one]}/{names[pair.other]}" for pair in pairs(len(servers))]
    if len(compared) == 1:
        compared = ["ratio"]
    return (
        "command", "pipeline",
        *(f"{name} req/s" for name in names), *(f"throughput {pair}" for pair in compared),
        *(f"{name} CPU us" for name in names), *(f"CPU {pair}" for pair in compared),
    )  # fmt: skip


def cells(line: Line) -> Sequence[str]:
    places = range(len(line.samples))
    compared = pairs(len(places))
    return (
        line.workload.name, str(line.pipeline),
        *(f"{line.rate(place):,.0f}" for place in places), *(f"{line.throughput_ratio(pair):.2f}" for pair in compared),
        *(f"{line.cpu(place) * 1e6:.2f}" for place in places), *(f"{line.cpu_ratio(pair):.2f}" for pair in compared),
    )  # fmt: skip


def failed(workload: Workload, pipeline: int, servers: Sequence[Server], error: LoadFailed) -> Sequence[str]:
    """The cells of a line that has no figures."""
    return (workload.name, str(pipeline), f"failed: {error}", *[""] * (len(head(servers)) - 3))


def summary(servers: Sequence[Server], lines: Sequence[Line]) -> str:
    """Geometric means and the worst lines, of each pair of servers at each pipeline depth."""
    rows = []
    for pipeline in sorted({line.pipeline for line in lines}):
        of_depth = [line for line in lines if line.pipeline == pipeline]
        for pair in pairs(len(servers)):
            throughput = sorted((line.throughput_ratio(pair), line.workload.name) for line in of_depth)
            cpu = sorted(((line.cpu_ratio(pair), line.workload.name) for line in of_depth), reverse=True)
            rows.append(
                [str(pipeline), f"{servers[pair.one].name}/{servers[pair.other].name}", str(len(of_depth)),
                 _mean(throughput), _worst(throughput), _mean(cpu), _worst(cpu)]
            )  # fmt: skip
    names = ("pipeline", "of", "lines", "throughput", "lowest", "CPU", "highest")
    return tables.table("geometric means of the ratios, and the worst", names, rows)


def _mean(ratios: Sequence[tuple[float, str]]) -> str:
    return f"{statistics.geometric_mean(ratio for ratio, _ in ratios):.2f}"


def _worst(ratios: Sequence[tuple[float, str]]) -> str:
    return ", ".join(f"{name} {ratio:.2f}" for ratio, name in ratios[:WORST])
