"""Reliable consumers of plain lists, for producers in other languages that know only LPUSH and RPUSH.

    consumer = ListConsumer(client, "emails", concurrency=8)
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, handler)

An element is never popped without a trace: LMOVE moves it to the consumer's own list in one step, and it leaves that
list when its handler is done. Delivery is at least once (see ListConsumer).

consumer.py  ListConsumer: handlers, retries, drain;  inflight.py  what one consumer holds on the server
recovery.py  heartbeats, and giving back what dead consumers held;  keys.py  the names of the keys
"""

from consumers.lists.consumer import ListConsumer, ListStatistics

__all__ = ["ListConsumer", "ListStatistics"]
