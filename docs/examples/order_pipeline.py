"""Three services on one stream of orders. One order is poison to one of them, and is redriven after the repair.

Each service is a consumer group: it gets every order, at its own pace. In practice they would be three programs.
"""

import os
from decimal import Decimal
from functools import partial

import coredis
import trio

from consumers.streams import Backoff, Consumer, Message, Middleware, Producer, dead_letters, redrive

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
ORDERS = [("ann", "12"), ("ben", "7"), ("ann", "9.50"), ("eve", "3")]

report, results = trio.open_memory_channel[str](100)


async def bill_whole_amounts(order: Message) -> None:
    await report.send(f"billing: {order.data['customer']} pays {int(order.data['total'])}")


async def bill(order: Message) -> None:
    await report.send(f"billing: {order.data['customer']} pays {Decimal(order.data['total'])}")


async def reserve(order: Message) -> None:
    await report.send(f"stock: reserved for {order.data['customer']}")


async def confirm(order: Message) -> None:
    await report.send(f"mail: to {order.data['customer']}")


class Alarm(Middleware):
    rang = trio.Event()

    def dead(self, message: object, reason: str) -> None:
        self.rang.set()


async def main() -> None:
    member = partial(
        Consumer, stream="orders", order_by="customer", max_deliver=3, retry=Backoff(0.05), dead_letter="orders.dead"
    )
    async with coredis.Redis.from_url(URL) as client, trio.open_nursery() as nursery:
        billing = member(client, group="billing", middleware=[Alarm()])
        await nursery.start(billing.run, bill_whole_amounts)
        await nursery.start(member(client, group="stock").run, reserve)
        await nursery.start(member(client, group="mail").run, confirm)
        await Producer(client, "orders").publish_many({"customer": who, "total": total} for who, total in ORDERS)

        await Alarm.rang.wait()
        await billing.drain()
        async for letter in dead_letters(client, "orders.dead"):
            print(f"dead in {letter.group}: {letter.fields['total'].decode()}, {letter.reason}")

        await nursery.start(billing.run, bill)  # the repaired version, which gets the dead order again
        print("redriven:", await redrive(client, "orders.dead"))
        for _ in range(3 * len(ORDERS)):
            print(await results.receive())
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
