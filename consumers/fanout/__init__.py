"""Fan-out: each service gets each message.

    async with subscribe(client, "news") as messages:           # live: at most once, while connected
    async with follow(client, "orders", "billing") as entries:  # durable: at least once, from where it stopped

subscription.py  subscribe: channels, patterns, shard channels;  buffer.py  what happens when a service is slow
links.py         one subscribed connection
following.py     follow: a stream, each service at its own position
publishing.py    publish, publish_many;  messages.py  what subscribers receive
"""

from consumers.errors import ServerUnavailable
from consumers.fanout.buffer import SlowConsumerError, WhenFull
from consumers.fanout.following import Follower, follow
from consumers.fanout.messages import Entry, Gap, Message, Reason
from consumers.fanout.publishing import publish, publish_many
from consumers.fanout.subscription import Subscription, subscribe
from consumers.groups import Start
from consumers.retry import Backoff

__all__ = [
    "Backoff",
    "Entry",
    "Follower",
    "Gap",
    "Message",
    "Reason",
    "ServerUnavailable",
    "SlowConsumerError",
    "Start",
    "Subscription",
    "WhenFull",
    "follow",
    "publish",
    "publish_many",
    "subscribe",
]
