"""How a consumer works: its options, with limits, and its counters."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from consumers import given
from consumers.backlog import Priority
from consumers.groups import Start
from consumers.middleware import Middleware
from consumers.owners import is_reserved, unique_name
from consumers.retry import RECONNECT, Backoff

__all__ = ["AckPolicy", "Options", "Statistics", "Succession"]


class AckPolicy(Enum):
    """When an entry is acknowledged.

    ON_SUCCESS: when its handler has returned; at least once. ON_RECEIVE: before its handler starts; at most once,
    and a failure is final. MANUAL: when the handler says so; at least once.
    """

    ON_SUCCESS = "on_success"
    ON_RECEIVE = "on_receive"
    MANUAL = "manual"


class Succession(Enum):
    """How the predecessor of a stream's only consumer in its group has ended.

    AFTER_CRASH: handlers may have begun with what it had in hand. AFTER_HANDOVER: it stopped in order, so none had.
    """

    AFTER_CRASH = "after_crash"
    AFTER_HANDOVER = "after_handover"


@dataclass(frozen=True, kw_only=True)
class Options:
    """One consumer's options. Times are in seconds; see consumers.streams.Consumer for what each means.

    passing: the consumer's name is not used again, so it is removed from the group at the end. patience: how many
    crashes an entry may share with others before it runs alone. order_field: by whose values the whole group is
    ordered, where the server can do that. succession: this consumer alone reads the one stream, and others did so
    before: it begins with all that is pending for them, in the stream's order, and leaves what it has in hand to the
    next one in the same way, instead of giving it back.
    """

    streams: Sequence[str]
    group: str
    consumer: str = field(default_factory=unique_name)
    passing: bool = False
    patience: int = 2
    start: Start | str | datetime = Start.BEGINNING
    ack_policy: AckPolicy = AckPolicy.ON_SUCCESS
    ack_wait: float = 30.0
    max_deliver: int | None = None
    retry: Backoff = field(default_factory=Backoff)
    dead_letter: str | None = None
    dead_letter_maxlen: int | None = None
    prefetch: int = 64
    concurrency: int = 16
    priority: Priority = Priority.STRICT
    order_field: str | None = None
    succession: Succession | None = None
    middleware: Sequence[Middleware] = ()
    block: float = 5.0
    reconnect: Backoff = RECONNECT

    def __post_init__(self) -> None:
        self._check_types()
        if not self.streams or len(set(self.streams)) != len(self.streams):
            raise ValueError("streams must be at least one, each once")
        if self.prefetch < 1 or self.concurrency < 1:
            raise ValueError("prefetch and concurrency must be at least 1")
        if self.max_deliver is not None and self.max_deliver < 1:
            raise ValueError("max_deliver must be at least 1")
        if self.ack_wait < 0.05:
            raise ValueError("ack_wait must be at least 0.05 s: a lease is kept by a request every third of it")
        if self.block <= 0:
            raise ValueError("block must be more than 0 s")
        if is_reserved(self.consumer):
            raise ValueError(f"the consumer name {self.consumer} is taken")

    def _check_types(self) -> None:
        given.texts("streams", self.streams)
        given.text("group", self.group)
        given.text("consumer", self.consumer)
        given.instance("start", self.start, Start, str, datetime)
        given.instance("ack_policy", self.ack_policy, AckPolicy)
        given.instance("retry", self.retry, Backoff)
        given.instance("priority", self.priority, Priority)
        for name, number in (
            ("prefetch", self.prefetch), ("concurrency", self.concurrency), ("max_deliver", self.max_deliver),
            ("dead_letter_maxlen", self.dead_letter_maxlen),
        ):  # fmt: skip
            if number is not None or name in ("prefetch", "concurrency"):
                given.whole(name, number)
        if self.dead_letter is not None:
            given.text("dead_letter", self.dead_letter)


@dataclass(slots=True)
class Statistics:
    """What a consumer has done since it started: entries received (redelivered ones among them), and their outcomes."""

    received: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    released: int = 0
    dead: int = 0
