"""All policies of a broker that are in force.

They are read from where they are stored (broker.policies.policy_hash) when loading has ended, when the broker becomes a
master, and after each XGROUP CFGSET; so no write checks whether it concerns a policy. That a hash was replaced or
removed by other commands is noticed before its stream is next read or acted upon.

Only a master has policies in force. A replica gets what its master's policies do as plain commands, and while commands
are loaded, what policies did is among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.clients.pubsub import PubSub
from broker.config import Config
from broker.execution.state import State
from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from broker.policies.calls import Calls
from broker.policies.delayed_entries import DelayedEntries
from broker.policies.governed_group import GovernedGroup, Parts
from broker.policies.governed_stream import GovernedStream
from broker.policies.policy_hash import policies_in, policy_key, stream_key
from broker.process.log import Log
from broker.process.stats import Stats
from broker.process.timers import Deadlines
from broker.values.hash import Hash
from broker.values.streams.group_policy import GroupPolicy
from broker.values.streams.stream_policy import StreamPolicy, stream_policy_in

MAX_POLICIES: Final = 10_000
"""The number of groups and streams of a broker that may have one."""

_CHECKED_AT_ONCE: Final = 1000


class _StreamPolicies:
    """The policies of a stream: the hash that they were read from, at `key`, its own one, and its groups by name."""

    __slots__ = ("fields", "groups", "key", "stream")

    def __init__(self, key: bytes, fields: Hash, stream: GovernedStream | None) -> None:
        self.key = key
        self.fields = fields
        self.stream = stream
        self.groups: dict[bytes, GovernedGroup] = {}

    def governed(self) -> list[GovernedStream | GovernedGroup]:
        """Returns all that is under one of these policies."""
        own: list[GovernedStream | GovernedGroup] = [] if self.stream is None else [self.stream]
        return own + list(self.groups.values())


class Policies:
    """What is under a policy, in `by_stream` by database and key of the stream; empty while none are in force."""

    __slots__ = ("_config", "_delayed", "_parts", "_state", "_unchecked", "by_stream")

    def __init__(
        self, config: Config, log: Log, state: State, keyspace: Keyspace, timers: Deadlines, stats: Stats,
        serve: Callable[[], None], pubsub: PubSub, delayed: DelayedEntries, calls: Calls,
    ) -> None:  # fmt: skip
        """`serve` serves clients that wait for keys that have become ready."""
        self._config = config
        self._delayed = delayed
        self._state = state
        self._parts = Parts(config, log, state, keyspace, timers, stats, self._may_act, serve, pubsub, calls)
        self._unchecked: list[tuple[int, bytes]] = []
        self.by_stream: dict[tuple[int, bytes], _StreamPolicies] = {}

    def reload(self) -> None:
        """Reads all policies, and finds delayed entries; called when all keys may have changed, or the role has."""
        if not self._config.stream_extensions:
            return
        self._delayed.reload()
        before, self.by_stream = self.by_stream, {}
        databases = self._parts.keyspace.databases
        if not (self._state.replica or self._state.loading):
            for database in databases:
                for key in list(database.data):
                    stream = stream_key(key)
                    if stream is not None:
                        self.read(database, stream, before.pop((database.index, stream), None))
        for left in before.values():
            for governed in left.governed():
                governed.stop()

    def read(self, database: Database, stream: bytes, before: _StreamPolicies | None = None) -> None:
        """Reads the policies of one stream; `before` has those that were in force, if they are not here."""
        place = database.index, stream
        before = self.by_stream.pop(place, before)
        groups = {} if before is None else before.groups
        own = None if before is None else before.stream
        key = policy_key(stream)
        fields = database.get_untouched(key)
        found = self.stored(database, stream)
        policy = self.stored_for_stream(database, stream)
        for name, governed in groups.items():
            if name not in found:
                governed.stop()
        if own is not None and (policy is None or own.database is not database):
            own.stop()
            own = None
        if not (found or policy):
            return
        if policy is not None and own is None:
            own = GovernedStream(self._parts, database, stream, policy)
        policies = self.by_stream[place] = _StreamPolicies(key, fields, own)
        if own is not None and policy is not None:
            own.set_policy(policy)
        for name, group_policy in found.items():
            known = groups.get(name)
            if known is None or known.database is not database:
                known = GovernedGroup(self._parts, database, stream, name, group_policy)
            policies.groups[name] = known
            known.set_policy(group_policy)

    def stored(self, database: Database, stream: bytes) -> dict[bytes, GroupPolicy]:
        """Returns what is stored for a stream's groups, in force or not."""
        fields = database.get_untouched(policy_key(stream))
        return policies_in(fields) if type(fields) is Hash else {}

    def stored_for_stream(self, database: Database, stream: bytes) -> StreamPolicy | None:
        """Returns what is stored for a stream itself, in force or not."""
        fields = database.get_untouched(policy_key(stream))
        return stream_policy_in(fields) if type(fields) is Hash else None

    def count(self) -> int:
        """Returns the number of policies in force."""
        return sum(len(policies.governed()) for policies in self.by_stream.values())

    def find(self, database: Database, stream: bytes, group: bytes) -> GovernedGroup | None:
        """Returns the group if it is under a policy."""
        policies = self.by_stream.get((database.index, stream))
        if policies is None:
            return None
        if database.data.get(policies.key) is not policies.fields:
            self.read(database, stream)
            policies = self.by_stream.get((database.index, stream))
        return None if policies is None else policies.groups.get(group)

    def _may_act(self, database: Database, stream: bytes) -> bool:
        if not self._state.acts_by_itself():
            return False
        self._validate(database, stream)
        return True

    def _validate(self, database: Database, stream: bytes) -> None:
        """Reads the policies of a stream again if their hash is another one now."""
        policies = self.by_stream.get((database.index, stream))
        if policies is not None and database.data.get(policies.key) is not policies.fields:
            self.read(database, stream)

    def check(self) -> None:
        """Looks after a bounded number of streams, whose groups may be others by now, or could not be acted for."""
        self._delayed.check()
        if not self.by_stream:
            return
        if not self._unchecked:
            self._unchecked = list(self.by_stream)
        for place in self._unchecked[:_CHECKED_AT_ONCE]:
            index, stream = place
            self._validate(self._parts.keyspace.databases[index], stream)
            policies = self.by_stream.get(place)
            if policies is not None:
                for governed in policies.governed():
                    governed.check()
        del self._unchecked[:_CHECKED_AT_ONCE]
