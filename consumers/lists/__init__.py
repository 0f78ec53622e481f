"""Reliable consumers of plain lists, for producers in other languages that know LPUSH and RPUSH and no more.

    consumer = ListConsumer(client, "emails", concurrency=8)
    async with trio.open_nursery() as nursery:
        await nursery.start(consumer.run, handler)

An element is never popped without a trace: LMOVE takes it to a list of the consumer's own, in one step, and it leaves
that list when its handler is done. Delivery is at least once (see ListConsumer).

consumer.py  ListConsumer: handlers, retries, drain;  inflight.py  what one consumer holds on the server
recovery.py  heartbeats, and giving back what dead consumers held;  keys.py  the names of the keys
"""

from consumers.lists.consumer import ListConsumer, ListStatistics

__all__ = ["ListConsumer", "ListStatistics"]
