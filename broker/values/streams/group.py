"""A consumer group: how far it has read, which consumers it delivered entries to, and which are not acknowledged yet.

The pending entries list (PEL) is a dictionary from entry ID to `Delivery`, an immutable record that all
entries of one delivery share: delivering a thousand entries to a consumer takes one record, a thousand
dictionary slots, and two list extensions. Delivering an entry again, or to another consumer, replaces its
record.

A `PendingIndex` for the group and one per consumer provide the order by ID. Only XREADGROUP's CLAIM needs the order
by delivery time, so a group maintains it (as a heap, cleaned as it is read) from the first CLAIM on.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

from broker.values.streams.admission import Admission
from broker.values.streams.delivery import MAX_COUNT, PARKED, Consumer, Delivery
from broker.values.streams.due_order import DueOrder
from broker.values.streams.pending import SLACK, PendingIndex

__all__ = ["MAX_COUNT", "Consumer", "Delivery", "Group"]


class Group:
    """`last_id` is the last-delivered ID, `entries_read` the number of entries read up to it (-1: unknown).

    `pel` is read-only for others. `due` is the order in which entries become overdue, None without a policy;
    `admission` is None unless the policy restricts what may be delivered.
    """

    __slots__ = (
        "_by_time",
        "_index",
        "_released",
        "_serial",
        "admission",
        "consumers",
        "due",
        "entries_read",
        "last_id",
        "name",
        "pel",
    )

    def __init__(self, name: bytes, last_id: int, entries_read: int = -1) -> None:
        self.name = name
        self.last_id = last_id
        self.entries_read = entries_read
        self.consumers: dict[bytes, Consumer] = {}
        self.pel: dict[int, Delivery] = {}
        self._index = PendingIndex()
        self._released: OrderedDict[int, None] = OrderedDict()
        self._by_time: list[tuple[int, int, int]] | None = None
        self._serial = 0
        self.due: DueOrder | None = None
        self.admission: Admission | None = None

    # -- consumers

    def create_consumer(self, name: bytes, now: int) -> Consumer:
        """Creates a consumer; the name must be unused."""
        consumer = self.consumers[name] = Consumer(name, now)
        return consumer

    def delete_consumer(self, name: bytes) -> int:
        """Removes a consumer with its pending entries; returns how many those were, -1 if there is no such consumer."""
        consumer = self.consumers.pop(name, None)
        if consumer is None:
            return -1
        pending = consumer.pending
        ids = list(self.pending_of(consumer))
        for id in ids:
            del self.pel[id]
        consumer.pending = 0
        if self.admission is not None:
            for id in ids:
                self.admission.ended(id)
        return pending

    # -- pending entries

    def deliver(self, consumer: Consumer, ids: list[int], now: int) -> None:
        """Makes ascending `ids` pending for `consumer`, as delivered for the first time, whoever had them before."""
        self._serial = serial = self._serial + 1
        delivery = Delivery(consumer, now, 1, serial)
        consumer.active_time = now
        pel = self.pel
        count = len(ids)
        index = self._index
        if ids[0] > index.last:
            for id in ids:
                pel[id] = delivery
            index.extend(ids)
            consumer.pending += count
        else:
            # Some may be pending already, after XGROUP SETID to a lower ID, or XCLAIM or XNACK with FORCE.
            for id in ids:
                self._take(id)
                pel[id] = delivery
                index.add(id)
            consumer.pending += count
        if index.size > SLACK and index.is_untidy(len(pel)):
            index.tidy(pel.__contains__)
        self._index_consumer(consumer, ids)
        if self._by_time is not None:
            for id in ids:
                heappush(self._by_time, (now, serial, id))
            self._tidy_times()
        if self.due is not None:
            self.due.add(delivery, ids)
        if self.admission is not None:
            self.admission.delivered(ids)

    def _index_consumer(self, consumer: Consumer, ids: list[int]) -> None:
        index = consumer.index
        if ids[0] > index.last:
            index.extend(ids)
        else:
            for id in ids:
                index.add(id)
        if index.size > SLACK and index.is_untidy(consumer.pending):
            index.tidy(self._is_pending_at(consumer))

    def _is_pending_at(self, consumer: Consumer) -> Callable[[int], bool]:
        get = self.pel.get

        def is_pending(id: int) -> bool:
            delivery = get(id)
            return delivery is not None and delivery.consumer is consumer

        return is_pending

    def _take(self, id: int) -> Delivery | None:
        """Takes an entry from its consumer, if any; it stays in the indices."""
        delivery = self.pel.pop(id, None)
        if delivery is not None:
            if delivery.consumer is not None:
                delivery.consumer.pending -= 1
            else:
                del self._released[id]
        return delivery

    def acknowledge(self, id: int) -> bool:
        """Removes a pending entry; returns whether there was one."""
        delivery = self.pel.pop(id, None)
        if delivery is None:
            return False
        if delivery.consumer is not None:
            delivery.consumer.pending -= 1
        else:
            del self._released[id]
        if self.admission is not None:
            self.admission.ended(id)
        return True

    def claim(self, id: int, consumer: Consumer, time: int, count: int) -> None:
        """Assigns an entry, pending or not, to `consumer`, as delivered at `time` for the `count`-th time."""
        self._serial += 1
        self._put(id, Delivery(consumer, time, count, self._serial))

    def redeliver(self, ids: list[int], consumer: Consumer, now: int, counts: bool = True) -> None:
        """Assigns pending entries in ascending order to `consumer`; counts the delivery of each if `counts`."""
        self._serial += 1
        shared: dict[int, Delivery] = {}
        for id in ids:
            count = self.pel[id].count
            if counts and count != MAX_COUNT:
                count += 1
            delivery = shared.get(count)
            if delivery is None:
                delivery = shared[count] = Delivery(consumer, now, count, self._serial)
            self._put(id, delivery)

    def _put(self, id: int, delivery: Delivery) -> None:
        old = self.pel.get(id)
        self.pel[id] = delivery
        consumer = delivery.consumer
        assert consumer is not None
        if old is None or old.consumer is None:
            if old is None:
                self._index.add(id)
            else:
                del self._released[id]
            consumer.pending += 1
            self._index_consumer(consumer, [id])
        elif old.consumer is not consumer:
            old.consumer.pending -= 1
            consumer.pending += 1
            self._index_consumer(consumer, [id])
        if self._by_time is not None:
            heappush(self._by_time, (delivery.time, delivery.serial, id))
            self._tidy_times()
        if self.due is not None and (consumer.name != PARKED or self.admission is None):
            self.due.add(delivery, [id])
        if self.admission is not None:
            self.admission.placed(id)

    def release(self, id: int, count: int) -> None:
        """Releases an entry, pending or not: it stays pending without an owner, with `count` deliveries."""
        if self._take(id) is None:
            self._index.add(id)
        self.pel[id] = Delivery(None, 0, count, 0)
        self._released[id] = None
        if self.admission is not None:
            self.admission.placed(id)
            self.admission.freed()

    def park(self, ids: list[int], now: int) -> None:
        """Parks ascending entries, which are not pending; the consumer PARKED must exist."""
        consumer = self.consumers[PARKED]
        self._serial += 1
        delivery = Delivery(consumer, now, 0, self._serial)
        for id in ids:
            self._put(id, delivery)

    def restore(self, ids: list[int], consumer: Consumer, time: int, count: int) -> None:
        """Makes ascending `ids`, above all pending ones, pending; for loading a group from a saved file.

        They become one delivery, the `count`-th, at `time`: consecutive entries with equal details nearly always were.
        """
        self._serial += 1
        delivery = Delivery(consumer, time, count, self._serial)
        self.pel.update(dict.fromkeys(ids, delivery))
        self._index.extend(ids)
        consumer.index.extend(ids)
        consumer.pending += len(ids)

    def parked_count(self) -> int:
        """Returns the number of parked entries."""
        parked = self.consumers.get(PARKED)
        return 0 if parked is None else parked.pending

    def is_parked(self, id: int) -> bool:
        """Whether an entry is pending and parked."""
        delivery = self.pel.get(id)
        return delivery is not None and delivery.consumer is not None and delivery.consumer.name == PARKED

    def inflight(self) -> int:
        """Returns the number of pending entries that a consumer works on."""
        return len(self.pel) - len(self._released) - self.parked_count()

    def released_count(self) -> int:
        """Returns the number of pending entries without an owner."""
        return len(self._released)

    def released(self) -> Iterator[int]:
        """Yields those entries, first released first."""
        return iter(self._released)

    # -- pending entries in order

    def pending(self, start: int = 0) -> Iterator[int]:
        """Yields pending IDs from `start` on. Meanwhile they may be claimed and acknowledged, but none added."""
        return self._index.pending(self.pel.__contains__, start)

    def pending_of(self, consumer: Consumer, start: int = 0) -> Iterator[int]:
        """Yields a consumer's pending IDs from `start` on. Meanwhile they may be acknowledged, but none added."""
        return consumer.index.pending(self._is_pending_at(consumer), start)

    def lowest_pending(self) -> int | None:
        """Returns the lowest pending ID."""
        return next(self.pending(), None)

    def highest_pending(self) -> int | None:
        """Returns the highest pending ID."""
        return self._index.highest(self.pel.__contains__)

    def oldest(self, latest: int, wanted: Callable[[int], bool], limit: int = 0) -> list[int]:
        """Returns pending IDs in order of delivery; those that XNACK released come first.

        At most `limit` (0: all) of those that are `wanted` and were not delivered after `latest`.
        """
        found = []
        for id in self._released:
            if wanted(id):
                found.append(id)
                if len(found) == limit:
                    return found
        heap = self._times()
        if not limit:
            heap.sort()
            return found + [
                id for time, serial, id in heap if time <= latest and self._is_current(id, serial) and wanted(id)
            ]
        seen = []
        while heap and len(found) < limit:
            time, serial, id = heap[0]
            if time > latest:
                break
            heappop(heap)
            if self._is_current(id, serial):
                seen.append((time, serial, id))
                if wanted(id):
                    found.append(id)
        for item in seen:
            heappush(heap, item)
        return found

    def _is_current(self, id: int, serial: int) -> bool:
        delivery = self.pel.get(id)
        return delivery is not None and delivery.serial == serial and delivery.consumer is not None

    def _times(self) -> list[tuple[int, int, int]]:
        heap = self._by_time
        if heap is None:
            heap = self._by_time = [
                (delivery.time, delivery.serial, id)
                for id, delivery in self.pel.items()
                if delivery.consumer is not None
            ]
            heapify(heap)
        return heap

    def _tidy_times(self) -> None:
        heap = self._by_time
        if heap is not None and len(heap) > 2 * len(self.pel) + 1024:
            heap[:] = [item for item in heap if self._is_current(item[2], item[1])]
            heapify(heap)

    # -- whole

    def copy(self) -> "Group":
        """Returns a group with the same content that shares nothing mutable."""
        other = Group(self.name, self.last_id, self.entries_read)
        for name, consumer in self.consumers.items():
            twin = other.create_consumer(name, consumer.seen_time)
            twin.active_time, twin.pending = consumer.active_time, consumer.pending
            twin.index = consumer.index.copy()
        twins: dict[Delivery, Delivery] = {}
        for id, delivery in self.pel.items():
            twin_delivery = twins.get(delivery)
            if twin_delivery is None:
                owner = delivery.consumer
                twin_delivery = twins[delivery] = Delivery(
                    None if owner is None else other.consumers[owner.name],
                    delivery.time,
                    delivery.count,
                    delivery.serial,
                )
            other.pel[id] = twin_delivery
        other._index = self._index.copy()
        other._released = self._released.copy()
        other._serial = self._serial
        return other

    def memory(self) -> int:
        """Estimates the bytes in use."""
        return 600 + 150 * len(self.pel) + 400 * len(self.consumers)
