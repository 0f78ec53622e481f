"""Compares the broker with a redis-server: `make bench`, or `python tests/benchmarks/run.py --quick --only GET,SET`.

Both run at the same time, without persistence unless --appendfsync is given, and are loaded in turns (round by round,
the order swapped each round), so that the machine's variations affect both. A line's figures are the medians of its
rounds; the throughput ratio is the broker's requests per second over redis-server's (more is better), the CPU ratio its
server CPU time per request over redis-server's (less is better). Only ratios from one run are meaningful.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Sequence

import durability
import sections
from loads import WORKLOADS, Sample, Workload
from servers import LoadFailed, Server

SETTINGS = "--port {port} --bind 127.0.0.1 --dir {dir} --maxclients 20000 --auto-aof-rewrite-percentage 0"
REDIS = f"redis-server {SETTINGS}"
BROKER = f"-m broker serve {SETTINGS}"
SECTIONS = {
    "clients": lambda both, quick: sections.idle_clients(both, 1_000 if quick else 10_000),
    "memory": lambda both, quick: sections.stream_memory(both, 100_000 if quick else 1_000_000),
    "types": lambda both, quick: sections.type_memory(both, 20_000 if quick else 500_000),
    "fanout": lambda both, quick: sections.fan_out(both, 1_000, 100 if quick else 500),
    "latency": lambda both, quick: sections.latency(both, 2 if quick else 8),
    "load": lambda both, quick: durability.load(both, 100_000 if quick else 1_000_000),
    "bgsave": lambda both, quick: durability.background_save(both, 100_000 if quick else 1_000_000),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    names = ", ".join((*WORKLOADS, *SECTIONS))
    parser.add_argument("--only", metavar="A,B", help=f"some of: {names}")
    parser.add_argument("--rounds", type=int, help="rounds per line (default 5, quick 3)")
    parser.add_argument("--pipeline", default="1,16", help="pipeline depths (default 1,16)")
    parser.add_argument("--seconds", type=float, help="target length of one run (default 2, quick 0.7)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, no sections unless named")
    parser.add_argument("--appendfsync", choices=("always", "everysec", "no"), help="with an append-only file")
    parser.add_argument("--redis", default=shutil.which("redis-server"), help="the redis-server to compare with")
    parser.add_argument("--ours", help="a command line to use instead of the broker's; {port} is its port")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.redis is None or shutil.which("redis-benchmark") is None:
        raise SystemExit("needs redis-server and redis-benchmark on the PATH")
    quick = options.quick
    chosen = options.only.split(",") if options.only else [*WORKLOADS, *([] if quick else SECTIONS)]
    unknown = [name for name in chosen if name not in WORKLOADS and name not in SECTIONS]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}")
    sections.raise_file_limit()
    kept = ["--appendonly", "yes" if options.appendfsync else "no", "--appendfsync", options.appendfsync or "no"]
    kept += ["--save", ""]
    ours = options.ours.split() if options.ours else [sys.executable, *BROKER.split(), *kept]
    both: list[Server] = []
    try:
        both.append(Server("redis-server", [options.redis, *REDIS.split()[1:], *kept]))
        both.append(Server("trimaran", ours))
        run_workloads(both, [WORKLOADS[name] for name in chosen if name in WORKLOADS], options)
        for name in chosen:
            if name in SECTIONS:
                run_section(name, both, quick)
    finally:
        for server in both:
            server.stop()


def run_section(name: str, both: Sequence[Server], quick: bool) -> None:
    try:
        print(SECTIONS[name](both, quick), flush=True)
    except LoadFailed as error:
        print(f"\n{name} failed: {error}", flush=True)


def run_workloads(both: Sequence[Server], workloads: Sequence[Workload], options: argparse.Namespace) -> None:
    """Print the table, each line as soon as it is known."""
    rounds = options.rounds or (3 if options.quick else 5)
    seconds = options.seconds or (0.7 if options.quick else 2.0)
    head = [
        "command",
        "pipeline",
        "redis req/s",
        "ours req/s",
        "throughput ratio",
        "redis CPU us",
        "ours CPU us",
    ]
    if workloads:
        print("| " + " | ".join([*head, "CPU ratio"]) + " |\n|" + "---|" * 8, flush=True)
    ratios: dict[int, list[float]] = {}
    for pipeline in map(int, options.pipeline.split(",")):
        for workload in workloads:
            requests = max(int(seconds * workload.share * (60_000 if pipeline == 1 else 400_000)), 1000)
            requests -= requests % pipeline
            samples: dict[str, list[Sample]] = {server.name: [] for server in both}
            try:
                for number in range(rounds):
                    for server in both if number % 2 else reversed(both):
                        samples[server.name].append(workload.measure(server, requests, pipeline))
            except LoadFailed as error:
                print(f"| {workload.name} | {pipeline} | failed: {error} |" + " |" * 5, flush=True)
                continue
            ratio = line(workload.name, pipeline, *(samples[server.name] for server in both))
            ratios.setdefault(pipeline, []).append(ratio)
    for pipeline, values in ratios.items():
        if len(values) > 1:
            mean = statistics.geometric_mean(values)
            print(f"\ngeometric mean of the throughput ratios, pipeline {pipeline}: {mean:.2f}")


def line(name: str, pipeline: int, redis: Sequence[Sample], ours: Sequence[Sample]) -> float:
    """Print one line of the table and return its throughput ratio."""
    redis_rate, our_rate = (statistics.median(s.rate for s in samples) for samples in (redis, ours))
    redis_cpu, our_cpu = (statistics.median(s.cpu for s in samples) * 1e6 for samples in (redis, ours))
    ratio = our_rate / redis_rate
    cpu_ratio = f"{our_cpu / redis_cpu:.2f}" if redis_cpu else "-"
    print(
        f"| {name} | {pipeline} | {redis_rate:,.0f} | {our_rate:,.0f} | {ratio:.2f} "
        f"| {redis_cpu:.2f} | {our_cpu:.2f} | {cpu_ratio} |",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    main()
