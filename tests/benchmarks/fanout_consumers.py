"""How long a message takes from a publisher to the services that subscribe to it with consumers.fanout.

`python tests/benchmarks/fanout_consumers.py [--url redis://...]`, against a broker of its own or a running server. One
process publishes at a fixed rate; a message's time counts from when it was due, so a stall counts for every message
that it delays. Another holds all subscribers, through `consumers` or coredis's own PubSub. Times are CLOCK_MONOTONIC's,
which all processes on a machine share. With --rate 0 it publishes as fast as it can, and only the throughput is
meaningful.
"""

import argparse
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import coredis
import trio
from servers import Server

from consumers.fanout import follow, publish_many, subscribe

STAMP = struct.Struct("!q")
CHANNEL = "fanout"
BURST = 500


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--url", help="a running server, instead of a broker of our own")
    parser.add_argument("--subscribers", type=int, default=10)
    parser.add_argument("--rate", type=int, default=500, help="messages per second; 0: as many as possible")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--size", type=int, default=100, help="bytes per message")
    parser.add_argument("--by", choices=("subscribe", "follow", "coredis"), default="subscribe")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


async def publish(options: argparse.Namespace) -> None:
    """The publishing process."""
    padding = b"x" * max(0, options.size - STAMP.size)
    sent = 0
    async with coredis.Redis.from_url(options.url) as client:
        start = time.monotonic_ns()
        while (now := (time.monotonic_ns() - start) / 1e9) < options.seconds:
            due = int(now * options.rate) - sent if options.rate else BURST
            if not due:
                await trio.sleep((sent + 1) / options.rate - now)
                continue
            interval = 1e9 / options.rate if options.rate else 0
            first = start if options.rate else time.monotonic_ns()
            numbers = range(sent + 1, sent + due + 1)
            messages = [STAMP.pack(first + int(number * interval)) + padding for number in numbers]
            if options.by == "follow":
                async with client.pipeline(transaction=False) as pipeline:
                    for message in messages:
                        pipeline.xadd(CHANNEL, {"d": message})
            else:
                await publish_many(client, [(CHANNEL, message) for message in messages])
            sent += due
    print(sent)


@asynccontextmanager
async def receiving(client: "coredis.Redis[bytes]", number: int, by: str) -> AsyncIterator[AsyncIterator[bytes]]:
    async def payloads(items: Any, data: Any) -> AsyncIterator[bytes]:
        async for item in items:
            yield data(item)

    if by == "subscribe":
        async with subscribe(client, CHANNEL, size=100_000) as messages:
            yield payloads(messages, lambda message: message.data)
    elif by == "follow":
        async with follow(client, CHANNEL, f"service-{number}") as entries:
            yield payloads(entries, lambda entry: entry.fields["d"])
    else:
        async with client.pubsub(channels=[CHANNEL], ignore_subscribe_messages=True) as pubsub:
            yield payloads(pubsub, lambda message: message["data"])


async def measure(options: argparse.Namespace) -> None:
    delays: list[int] = []
    last = 0

    async def serve(number: int, *, task_status: trio.TaskStatus[None]) -> None:
        nonlocal last
        async with receiving(client, number, options.by) as payloads:
            task_status.started()
            async for payload in payloads:
                last = time.monotonic_ns()
                delays.append(last - STAMP.unpack_from(payload)[0])

    async with (
        coredis.Redis.from_url(options.url, max_connections=options.subscribers + 1) as client,
        trio.open_nursery() as nursery,
    ):
        for number in range(options.subscribers):
            await nursery.start(serve, number)
        started = time.monotonic_ns()
        command = [sys.executable, *sys.argv, "--url", options.url, "--publish"]
        done = await trio.run_process(command, capture_stdout=True)
        expected = int(done.stdout) * options.subscribers
        with trio.move_on_after(30):
            while len(delays) < expected:
                await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    delays.sort()
    figures = {f"p{part:g}": delays[min(len(delays) - 1, int(len(delays) * part / 100))] for part in (50, 90, 99, 99.9)}
    figures["max"] = delays[-1]
    print(f"{options.by}: {len(delays)} of {expected} delivered to {options.subscribers} subscribers", end=", ")
    print(f"{len(delays) / ((last - started) / 1e9):,.0f} per second", end="; ")
    print(", ".join(f"{name} {value / 1e6:.2f} ms" for name, value in figures.items()))


def main() -> None:
    options = arguments()
    if options.publish:
        trio.run(publish, options)
        return
    server = None
    if options.url is None:
        command = [sys.executable, "-m", "broker", "serve", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}"]
        server = Server("the broker", [*command, "--save", ""])
        options.url = f"redis://127.0.0.1:{server.port}"
    try:
        trio.run(measure, options)
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
