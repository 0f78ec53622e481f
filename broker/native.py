"""Which build this is: one with its hot modules compiled, or the pure one, which is several times slower.

What is compiled is declared here, and built by setup.py. protocol/native.py loads it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from protocol.native import compiled_modules, pure

TWINS: Final = (
    "protocol._bulk_runs",
    "protocol._doubles",
    "protocol._requests",
    "broker.network._endpoint",
    "broker.process._epoll",
    "broker.formats.aof._scanning",
    "broker.formats.aof._writing",
    "broker.formats.packed._crc64",
    "broker.values._listpack",
    "broker.formats.packed._lzf",
    "broker.formats.rdb._strings",
    "broker.formats.packed._stream_listpack",
    "broker.persistence._syncing",
    "broker.scripting._border",
    "broker.scripting._calling",
    "broker.scripting.libraries._cjson",
    "broker.scripting.libraries._cmsgpack",
    "broker.values._bits",
    "broker.values._hash",
    "broker.values._list",
    "broker.values.hyperloglog._hyperloglog",
    "broker.values._positions",
    "broker.values._score_order",
    "broker.values.streams._delayed_entry",
    "broker.values.streams._entry",
    "broker.values.streams._ids",
    "broker.values.streams._narrow",
    "broker.values.streams._packed_fields",
)
"""Written in Cython; next to each is a pure module that works without it."""

MODULES: Final = (
    "protocol.errors",
    "protocol.numbers",
    "protocol.replies",
    "broker.acl.checking",
    "broker.acl.selector",
    "broker.acl.user",
    "broker.broker",
    "broker.clients.backlog",
    "broker.clients.blocking",
    "broker.clients.notifications",
    "broker.clients.pubsub",
    "broker.clients.session",
    "broker.clients.tracking",
    "broker.clients.tracking_state",
    "broker.clients.transport",
    "broker.clients.wait",
    "broker.commands.clients.connection",
    "broker.commands.clients.pubsub",
    "broker.commands.clients.transactions",
    "broker.commands.expire_options",
    "broker.commands.hashes.field_expiry",
    "broker.commands.hashes.field_ttl",
    "broker.commands.hashes.fields",
    "broker.commands.keys.expiry",
    "broker.commands.keys.keys",
    "broker.commands.keys.object",
    "broker.commands.keys.scan",
    "broker.commands.keys.sort",
    "broker.commands.lists.elements",
    "broker.commands.lists.ends",
    "broker.commands.lists.moves",
    "broker.commands.lists.pops",
    "broker.commands.page",
    "broker.commands.scanning",
    "broker.commands.scripts.functions",
    "broker.commands.scripts.scripts",
    "broker.commands.server.info",
    "broker.commands.sets.members",
    "broker.commands.sets.operations",
    "broker.commands.sorted_sets.members",
    "broker.commands.sorted_sets.operations",
    "broker.commands.sorted_sets.pops",
    "broker.commands.sorted_sets.ranges",
    "broker.commands.sorted_sets.replies",
    "broker.commands.streams.arguments",
    "broker.commands.streams.calls",
    "broker.commands.streams.claim",
    "broker.commands.streams.consume",
    "broker.commands.streams.delayed",
    "broker.commands.streams.governed_reading",
    "broker.commands.streams.groups",
    "broker.commands.streams.info",
    "broker.commands.streams.nack",
    "broker.commands.streams.read",
    "broker.commands.streams.write",
    "broker.commands.strings.bitfield",
    "broker.commands.strings.bitmaps",
    "broker.commands.strings.conditions",
    "broker.commands.strings.counters",
    "broker.commands.strings.hyperloglog",
    "broker.commands.strings.multi",
    "broker.commands.strings.range",
    "broker.commands.strings.ratelimit",
    "broker.commands.strings.whole",
    "broker.execution.dispatcher",
    "broker.execution.executor",
    "broker.execution.state",
    "broker.formats.rdb.file_loading",
    "broker.formats.rdb.hash_loading",
    "broker.formats.rdb.large_values",
    "broker.formats.rdb.packed_values",
    "broker.formats.rdb.reader",
    "broker.formats.rdb.stream_loading",
    "broker.formats.rdb.target",
    "broker.formats.rdb.value_loading",
    "broker.keyspace.database",
    "broker.keyspace.databases",
    "broker.keyspace.effects",
    "broker.keyspace.events",
    "broker.keyspace.expiry",
    "broker.keyspace.expiry_timer",
    "broker.keyspace.keyspace",
    "broker.keyspace.strings",
    "broker.network.connection",
    "broker.network.tick",
    "broker.observation.histogram",
    "broker.observation.monitor",
    "broker.observation.observer",
    "broker.persistence.replaying",
    "broker.policies.calls",
    "broker.policies.delayed_entries",
    "broker.policies.governed_group",
    "broker.policies.governed_stream",
    "broker.policies.policies",
    "broker.process.clock",
    "broker.process.stats",
    "broker.replication.outflow",
    "broker.scripting.bridge",
    "broker.scripting.engine",
    "broker.scripting.lua_state",
    "broker.scripting.running",
    "broker.scripting.scripts",
    "broker.table.arguments",
    "broker.table.command",
    "broker.values.deadline_queue",
    "broker.values.listpack_size",
    "broker.values.streams.admission",
    "broker.values.streams.delivery",
    "broker.values.streams.due_order",
    "broker.values.streams.group",
    "broker.values.streams.group_effects",
    "broker.values.streams.idempotency",
    "broker.values.streams.limits",
    "broker.values.streams.node",
    "broker.values.streams.pending",
    "broker.values.streams.stream",
    "broker.values.streams.trim",
)
"""Compiled by mypyc from the source as it stands: what a request of the busy commands goes through, and loading files.

Left out of what is as busy:

- protocol.{bulk_runs,doubles}, broker.values.{bits,listpack,positions},
  broker.values.streams.{delayed_entry,entry,ids,narrow,packed_fields}: they have twins, which replace names of theirs
  when they are loaded, and a call between compiled functions would miss that
- broker.values.{hash,list,set,sorted_set}: they derive from classes that are not compiled, which mypyc does not support
- broker.keyspace.access: its counters share integer objects, of which compiled code makes one for each key
- broker.process.timers: a timer costs a heap push, compiled or not
- broker.persistence.journal, broker.formats.aof.writing: they work once a tick
- broker.commands.{geo.*,keys.dump,random_picks,strings.compared}: nearly all of their time is their values'

What serves operators (CLIENT, CONFIG, DEBUG and their like) isn't busy.
"""

COMPILED: Final = "compiled"
PARTLY: Final = "partly compiled"
PURE: Final = "pure"


def build() -> str:
    """Returns COMPILED, PARTLY or PURE."""
    if pure():
        return PURE
    there = sum(find_spec(name) is not None for name in TWINS) + len(compiled_modules())
    return COMPILED if there == len(TWINS) + len(MODULES) else PARTLY if there else PURE
