"""Keyspace events as pub/sub messages: the channels an event is published on, and the text of the message.

While there are no subscriptions, no messages are built.
"""

from __future__ import annotations

from broker.clients.pubsub import PubSub
from broker.keyspace.events import (
    KEYEVENT,
    KEYSPACE,
    SUBKEYEVENT,
    SUBKEYSPACE,
    SUBKEYSPACEEVENT,
    SUBKEYSPACEITEM,
    Event,
)


class Notifications:
    """Publishes keyspace events to subscribers (the keyspace's `Notifier`)."""

    __slots__ = ("_pubsub",)

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub

    def notify(self, event: Event, key: bytes, database: int, mask: int) -> None:
        """Publish an event for one key."""
        pubsub = self._pubsub
        if not (pubsub.patterns or pubsub.channels or pubsub.event_captors):
            return
        if mask & KEYSPACE:
            pubsub.publish_event(b"__keyspace@%d__:%b" % (database, key), event.name)
        if mask & KEYEVENT:
            pubsub.publish_event(b"__keyevent@%d__:%b" % (database, event.name), key)

    def notify_all(self, event: Event, keys: list[bytes], database: int, mask: int) -> None:
        """`notify` for each key, as a single publication if only the event's own channel can have subscribers."""
        pubsub = self._pubsub
        if not (pubsub.patterns or pubsub.channels or pubsub.event_captors):
            return
        if pubsub.event_captors or (mask & KEYSPACE and pubsub.may_reach(b"__keyspace@%d__:" % database, keys)):
            for key in keys:
                self.notify(event, key, database, mask)
        elif mask & KEYEVENT:
            pubsub.publish_all(b"__keyevent@%d__:%b" % (database, event.name), keys)

    def notify_fields(self, event: Event, key: bytes, database: int, fields: list[bytes], mask: int) -> None:
        """Publish an event that names the fields of a hash."""
        pubsub = self._pubsub
        if not (pubsub.patterns or pubsub.channels):
            return
        publish = pubsub.publish
        listed = b",".join([b"%d:%b" % (len(field), field) for field in fields])
        if mask & SUBKEYSPACE:
            publish(b"__subkeyspace@%d__:%b" % (database, key), event.name + b"|" + listed)
        if mask & SUBKEYEVENT:
            publish(b"__subkeyevent@%d__:%b" % (database, event.name), b"%d:%b|%b" % (len(key), key, listed))
        if mask & SUBKEYSPACEITEM and b"\n" not in key:
            for field in fields:
                publish(b"__subkeyspaceitem@%d__:%b\n%b" % (database, key, field), event.name)
        if mask & SUBKEYSPACEEVENT:
            publish(b"__subkeyspaceevent@%d__:%b|%b" % (database, event.name, key), listed)
