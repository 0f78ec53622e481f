"""Event streams: consumers in groups, producers, replay and dead letters.

    consumer = Consumer(client, stream="orders", group="billing", dead_letter="orders.dead", max_deliver=5)
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, handler)

Delivery is at least once: handlers must be idempotent (see Consumer). The server may be any that speaks RESP3 and has
streams with XAUTOCLAIM: Trimaran, Redis 6.2 and later, Valkey.
"""

from consumers.backlog import Priority
from consumers.codecs import Codec, JsonCodec, MsgpackCodec, TextCodec
from consumers.deadletters import DeadLetter, dead_letters, redrive
from consumers.errors import (
    CallError,
    ConsumerError,
    DeadLettered,
    NoResponders,
    Reject,
    Retry,
    ServerUnavailable,
)
from consumers.groups import Start
from consumers.middleware import Middleware
from consumers.options import AckPolicy
from consumers.partitions import partition_of, partition_stream, partition_streams
from consumers.retry import Backoff
from consumers.streams.consumer import Consumer
from consumers.streams.depths import Depths, partition_depths
from consumers.streams.message import Message
from consumers.streams.partitioned_replay import PartitionedReplay
from consumers.streams.producer import Producer
from consumers.streams.replay import Replay

__all__ = [
    "AckPolicy",
    "Backoff",
    "CallError",
    "Codec",
    "Consumer",
    "ConsumerError",
    "DeadLetter",
    "DeadLettered",
    "Depths",
    "JsonCodec",
    "Message",
    "Middleware",
    "MsgpackCodec",
    "NoResponders",
    "PartitionedReplay",
    "Priority",
    "Producer",
    "Reject",
    "Replay",
    "Retry",
    "ServerUnavailable",
    "Start",
    "TextCodec",
    "dead_letters",
    "partition_depths",
    "partition_of",
    "partition_stream",
    "partition_streams",
    "redrive",
]
