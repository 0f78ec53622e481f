"""Live fan-out: prices to three services, two of them too slow; each chooses what it would rather lose.

The archive keeps up and misses nothing. The chart needs only the latest price of each share: a newer one replaces
the waiting one. The alarm checks individual prices: if more than 10 wait, the oldest are dropped.
"""

import os

import coredis
import trio

from consumers.fanout import Gap, WhenFull, publish, subscribe

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
WORK_SECONDS = 0.05  # how long the slow services take per price


async def archive(client: coredis.Redis[bytes], *, task_status: trio.TaskStatus[None]) -> None:
    async with subscribe(client, patterns=["prices.*"]) as messages:
        task_status.started()
        async for message in messages:
            if message.channel == "prices.closed":
                break
        print(f"archive: {messages.received - 1} prices, {messages.dropped} dropped")


async def chart(client: coredis.Redis[bytes], *, task_status: trio.TaskStatus[None]) -> None:
    drawn: dict[str, str] = {}
    async with subscribe(client, patterns=["prices.*"], conflate=lambda message: message.channel) as messages:
        task_status.started()
        async for message in messages:
            if message.channel == "prices.closed":
                break
            drawn[message.channel] = message.text
            await trio.sleep(WORK_SECONDS)
        print(f"chart: {drawn}, {messages.conflated} replaced by newer ones")


async def alarm(client: coredis.Redis[bytes], *, task_status: trio.TaskStatus[None]) -> None:
    seen = missing = 0
    async with subscribe(client, patterns=["prices.*"], size=10, when_full=WhenFull.DROP_OLDEST) as messages:
        task_status.started()
        async for event in messages.events():  # the messages, and the gaps between them
            if isinstance(event, Gap):
                missing += event.missing or 0
            elif event.channel == "prices.closed":
                break
            else:
                seen += 1
                await trio.sleep(WORK_SECONDS)
        print(f"alarm: {seen} prices seen, {missing} dropped")


async def main() -> None:
    async with coredis.Redis.from_url(URL) as client, trio.open_nursery() as nursery:
        for service in (archive, chart, alarm):
            await nursery.start(service, client)
        for price in range(200):
            for share in ("ABC", "DEF", "XYZ"):
                await publish(client, f"prices.{share}", str(price))
        await publish(client, "prices.closed", "")


if __name__ == "__main__":
    trio.run(main)
