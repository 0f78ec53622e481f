"""The sections of INFO.

Field names and sections are Redis's, because dashboards and libraries read them by name. A field is present only
if the broker knows its true value, or if the mechanism it describes can't be active here, so that 0 is true.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from broker.broker import Broker
from broker.clients.describing import client_type
from broker.commands.server import info_figures as figures
from broker.commands.server.info_commands import commandstats, latencystats
from broker.commands.server.info_replication import replication
from broker.memory.overview import MemoryOverview
from broker.native import build
from broker.persistence.progress import Progress
from broker.process import memory as process_memory
from broker.process.memory import human
from broker.process.supervision import supervisor_of
from broker.version import REDIS_VERSION, VERSION

Fields = Iterator[tuple[str, object]]

_DENIED_NAMES: Final = {"command": "cmd", "tls-cert": "tls_cert"}


def info_text(broker: Broker, names: Iterable[str]) -> bytes:
    """Returns the named sections, in INFO's order; `all`, `everything` and `default` name several of them."""
    asked = {name.lower() for name in names} or {"default"}
    if asked & {"all", "everything"}:
        asked = set(SECTIONS)
    elif "default" in asked:
        asked |= DEFAULT_SECTIONS
    parts = []
    for name, (title, section) in SECTIONS.items():
        if name in asked:
            lines = [f"# {title}", *(f"{field}:{value}" for field, value in section(broker))]
            parts.append("\r\n".join(lines) + "\r\n")
    return "\r\n".join(parts).encode("utf-8", "surrogateescape")


def _server(broker: Broker) -> Fields:
    config, clock = broker.config, broker.clock
    system = platform.uname()
    uptime = (clock.now - broker.started) // 1000
    yield "redis_version", REDIS_VERSION
    yield "trimaran_version", VERSION
    yield "redis_git_sha1", "00000000"
    yield "redis_git_dirty", 0
    yield "redis_build_id", figures.build_id()
    yield "redis_mode", "standalone"
    yield "os", f"{system.system} {system.release} {system.machine}"
    yield "arch_bits", 64 if sys.maxsize > 2**32 else 32
    yield "monotonic_clock", "POSIX clock_gettime"
    yield "multiplexing_api", "kqueue" if sys.platform == "darwin" else "epoll"
    yield "atomicvar_api", "c11-builtin"
    yield "gcc_version", figures.compiler_version()
    yield "python_version", platform.python_version()
    yield "trimaran_build", build()
    yield "process_id", os.getpid()
    yield "process_supervised", supervisor_of(config.supervised, os.environ) or "no"
    yield "run_id", broker.run_id
    yield "tcp_port", broker.tcp_port or config.tls_port
    yield "server_time_usec", clock.microseconds()
    yield "uptime_in_seconds", uptime
    yield "uptime_in_days", uptime // 86400
    yield "hz", config.hz
    yield "configured_hz", config.hz
    yield "lru_clock", clock.now // 1000 & 0xFFFFFF
    yield "executable", sys.executable
    yield "config_file", config.file or ""
    yield "io_threads_active", 0
    if config.availability_zone:
        yield "availability_zone", config.availability_zone
    listeners = 0
    if broker.tcp_port:
        addresses = ",".join(f"bind={address}" for address in config.bind)
        yield "listener0", f"name=tcp,{addresses},port={broker.tcp_port}"
        listeners = 1
    if config.unixsocket:
        yield f"listener{listeners}", f"name=unix,bind={config.unixsocket}"
        listeners += 1
    if config.tls_port:
        addresses = ",".join(f"bind={address}" for address in config.bind)
        yield f"listener{listeners}", f"name=tls,{addresses},port={config.tls_port}"


def _clients(broker: Broker) -> Fields:
    sessions = broker.sessions.values()
    sizes = [session.transport.sizes() for session in sessions]
    databases = broker.keyspace.databases
    timed = sum(1 for session in sessions if session.waiting is not None and session.waiting.timeout is not None)
    any_change = {
        (wait.database.index, key)
        for session in broker.blocking.sessions
        if (wait := session.waiting) is not None and wait.value_type is None
        for key in wait.keys
    }
    yield "connected_clients", len(sessions) - len(broker.replicas.by_session)
    yield "cluster_connections", 0
    yield "maxclients", broker.config.maxclients
    yield "client_recent_max_input_buffer", max((buffered + room for buffered, room, _, _ in sizes), default=0)
    yield "client_recent_max_output_buffer", max((unsent for _, _, _, unsent in sizes), default=0)
    yield "blocked_clients", len(broker.blocking.sessions) + len(broker.state.postponed)
    if broker.config.stream_extensions:
        yield "calling_clients", len(broker.calls.waiting)
    yield "tracking_clients", broker.tracking.clients
    yield "pubsub_clients", sum(1 for session in sessions if client_type(session) == "pubsub")
    yield "watching_clients", sum(1 for session in sessions if session.watched)
    yield "clients_in_timeout_table", timed
    yield "active_clients", figures.active_clients(broker)
    yield "total_watched_keys", sum(len(database.watchers) for database in databases)
    yield "total_blocking_keys", sum(len(database.waiters) for database in databases)
    yield "total_blocking_keys_on_nokey", len(any_change)


def _memory(broker: Broker) -> Fields:
    broker.stats.sample_memory(broker.clock.now // 1000)
    memory = broker.memory()
    machine, limit = process_memory.of_machine(), broker.config.maxmemory
    yield "used_memory", memory.used
    yield "used_memory_human", human(memory.used)
    yield "used_memory_rss", memory.resident
    yield "used_memory_rss_human", human(memory.resident)
    yield "used_memory_peak", memory.peak
    yield "used_memory_peak_human", human(memory.peak)
    yield "used_memory_peak_time", broker.stats.memory_peak_at
    yield "used_memory_peak_perc", f"{memory.peak_percent:.2f}%"
    yield "used_memory_overhead", memory.overhead
    yield "used_memory_startup", 0
    yield "used_memory_dataset", memory.dataset
    yield "used_memory_dataset_perc", f"{memory.dataset_percent:.2f}%"
    yield "allocator_allocated", memory.allocated
    yield "allocator_active", memory.active
    yield "allocator_resident", memory.resident
    yield "allocator_muzzy", 0
    yield "total_system_memory", machine
    yield "total_system_memory_human", human(machine)
    yield from _scripts(broker, memory)
    yield "maxmemory", limit
    yield "maxmemory_human", human(limit)
    yield "maxmemory_policy", broker.config.maxmemory_policy
    yield "allocator_frag_ratio", f"{memory.active / memory.allocated:.2f}"
    yield "allocator_frag_bytes", memory.active - memory.allocated
    yield "allocator_rss_ratio", f"{memory.resident / memory.active:.2f}"
    yield "allocator_rss_bytes", memory.resident - memory.active
    # Resident memory is known for the process only, so the allocators' share of it has no figure of its own.
    yield "rss_overhead_ratio", "1.00"
    yield "rss_overhead_bytes", 0
    yield "mem_fragmentation_ratio", f"{memory.fragmentation:.2f}"
    yield "mem_fragmentation_bytes", memory.resident - memory.allocated
    yield "mem_not_counted_for_evict", memory.unsent
    backlog, buffers = broker.replicas.memory()
    yield "mem_replication_backlog", backlog
    yield "mem_total_replication_buffers", buffers
    yield "mem_replica_full_sync_buffer", 0
    yield "mem_clients_slaves", memory.replicas
    yield "mem_clients_normal", memory.clients
    # Clients' replies are copies, not shared with the keys' values.
    yield "mem_clients_normal_shared", 0
    yield "mem_clients_normal_unshared", 0
    yield "mem_cluster_slot_migration_output_buffer", 0
    yield "mem_cluster_slot_migration_input_buffer", 0
    yield "mem_cluster_slot_migration_input_buffer_peak", 0
    yield "mem_cluster_links", 0
    yield "mem_aof_buffer", memory.journal
    yield "mem_allocator", "python"
    yield "mem_overhead_db_hashtable_rehashing", 0
    yield "active_defrag_running", 0
    yield "lazyfree_pending_objects", broker.reclaimer.pending
    yield "lazyfreed_objects", broker.reclaimer.freed


def _scripts(broker: Broker, memory: MemoryOverview) -> Fields:
    scripting = broker.scripting
    states = memory.lua_of_scripts + memory.lua_of_functions
    sources = memory.scripts + memory.functions
    yield "used_memory_lua", memory.lua_of_scripts
    yield "used_memory_vm_eval", memory.lua_of_scripts
    yield "used_memory_lua_human", human(memory.lua_of_scripts)
    yield "used_memory_scripts_eval", memory.scripts
    yield "number_of_cached_scripts", len(scripting.scripts)
    yield "number_of_functions", scripting.functions.count()
    yield "number_of_libraries", len(scripting.functions.libraries)
    yield "used_memory_vm_functions", memory.lua_of_functions
    yield "used_memory_vm_total", states
    yield "used_memory_vm_total_human", human(states)
    yield "used_memory_functions", memory.functions
    yield "used_memory_hash_templates", 0
    yield "used_memory_scripts", sources
    yield "used_memory_scripts_human", human(sources)


def _persistence(broker: Broker) -> Fields:
    yield "loading", int(broker.state.loading)
    yield "async_loading", 0
    persistence = broker.persistence
    background, snapshots, rewrites = persistence.background, persistence.snapshots, persistence.rewrites
    journal = persistence.journal
    seconds = round(time.monotonic() - background.began) if background.has_child else -1
    total = sum(len(database.data) for database in broker.keyspace.databases) if background.has_child else 0
    yield "current_cow_peak", background.copied_peak
    yield "current_cow_size", background.copied
    yield "current_cow_size_age", background.copied_age()
    yield "current_fork_perc", f"{100 * background.keys / total:.2f}" if total else "0.00"
    yield "current_save_keys_processed", background.keys if background.has_child else 0
    yield "current_save_keys_total", total
    yield "rdb_changes_since_last_save", broker.keyspace.changes
    yield "rdb_bgsave_in_progress", int(snapshots.running or broker.full_syncs.running)
    yield "rdb_last_save_time", snapshots.last_save
    yield "rdb_last_bgsave_status", "ok" if snapshots.succeeded else "err"
    yield "rdb_last_bgsave_time_sec", snapshots.seconds
    yield "rdb_current_bgsave_time_sec", seconds if snapshots.running else -1
    yield "rdb_saves", snapshots.saves
    yield "rdb_saves_consecutive_failures", snapshots.failures
    yield "rdb_last_cow_size", snapshots.copied
    yield "rdb_last_load_keys_expired", persistence.recovery.loaded.expired
    yield "trimaran_rdb_keys_skipped", persistence.recovery.loaded.skipped
    yield "rdb_last_load_keys_loaded", persistence.recovery.loaded.keys
    yield "aof_enabled", int(rewrites.keeps_file)
    yield "aof_rewrite_in_progress", int(rewrites.running)
    yield "aof_rewrite_scheduled", int(rewrites.scheduled)
    yield "aof_last_rewrite_time_sec", rewrites.seconds
    yield "aof_current_rewrite_time_sec", seconds if rewrites.running else -1
    yield "aof_last_bgrewrite_status", "ok" if rewrites.succeeded else "err"
    yield "aof_rewrites", rewrites.count
    yield "aof_rewrites_consecutive_failures", rewrites.failures
    yield "aof_last_write_status", "err" if journal.write_error or journal.sync_error else "ok"
    yield "aof_last_cow_size", rewrites.copied
    yield "backup_in_progress", int(persistence.backup.in_progress)
    yield "module_fork_in_progress", 0
    yield "module_fork_last_cow_size", 0
    if broker.config.appendonly:
        yield "aof_current_size", journal.size
        yield "aof_base_size", rewrites.base_size
        yield "aof_pending_rewrite", int(rewrites.scheduled)
        yield "aof_buffer_length", journal.unwritten_bytes
        yield "aof_pending_bio_fsync", int(journal.syncing)
        yield "aof_delayed_fsync", journal.delayed_syncs
        yield "aof_oldest_unsynced_ms", journal.unsynced_age()
    if broker.state.loading:
        yield from _loading(persistence.recovery.progress, broker.clock.read() // 1000)


def _loading(progress: Progress, now: int) -> Fields:
    yield "loading_start_time", progress.began
    yield "loading_total_bytes", progress.total
    yield "loading_rdb_used_mem", progress.rdb_used_memory
    yield "loading_loaded_bytes", progress.loaded
    yield "loading_loaded_perc", f"{progress.percent:.2f}"
    yield "loading_eta_seconds", int(progress.seconds_left(max(1, now - progress.began)))


def _threads(broker: Broker) -> Fields:
    stats = broker.stats
    yield "io_thread_0", f"clients={len(broker.sessions)},reads={stats.reads},writes={stats.writes}"


def _stats(broker: Broker) -> Fields:
    stats, keyspace, pubsub = broker.stats, broker.keyspace, broker.pubsub
    yield "total_connections_received", stats.clients_served
    yield "total_commands_processed", sum(command.calls for command in broker.commands)
    yield "instantaneous_ops_per_sec", int(stats.request_rate)
    yield "total_net_input_bytes", stats.bytes_read
    yield "total_net_output_bytes", stats.bytes_written
    yield "total_net_repl_input_bytes", 0
    yield "total_net_repl_output_bytes", broker.replicas.sent()
    yield "instantaneous_input_kbps", f"{stats.read_rate / 1024:.2f}"
    yield "instantaneous_output_kbps", f"{stats.write_rate / 1024:.2f}"
    yield "instantaneous_input_repl_kbps", "0.00"
    yield "instantaneous_output_repl_kbps", f"{broker.replicas.rate / 1024:.2f}"
    yield "rejected_connections", stats.clients_refused
    syncs = broker.full_syncs
    yield "sync_full", broker.snapshot_transfers.count + syncs.count
    yield "sync_partial_ok", syncs.continued
    yield "sync_partial_err", syncs.refused
    yield "expired_subkeys", keyspace.expired_fields
    yield "expired_subkeys_active", keyspace.expired_fields - keyspace.expired_fields_on_access
    yield "expired_keys", keyspace.expired
    yield "expired_keys_active", keyspace.expired - keyspace.expired_on_access
    yield "expired_stale_perc", f"{figures.stale_percentage(broker):.2f}"
    yield "expired_time_cap_reached_count", keyspace.expiry_batches_full
    yield "expire_cycle_cpu_milliseconds", int(keyspace.expiry_seconds * 1000)
    exceeded = broker.eviction.exceeded_ms()
    yield "evicted_keys", stats.evicted_keys
    yield "evicted_clients", stats.evicted_clients
    yield "evicted_scripts", stats.evicted_scripts
    yield "total_eviction_exceeded_time", stats.eviction_exceeded_ms + exceeded
    yield "current_eviction_exceeded_time", exceeded
    if broker.config.stream_extensions:
        yield "entries_redelivered", stats.entries_redelivered
        yield "entries_dead_lettered", stats.entries_dead_lettered
        yield "entries_discarded", stats.entries_discarded
        yield "entries_refused", stats.entries_refused
        yield "captured_messages", stats.captured_messages
        yield "delayed_entries", broker.delayed.count()
        yield "delayed_delivered", stats.delayed_delivered
    yield "keyspace_hits", keyspace.hits
    yield "keyspace_misses", keyspace.misses
    yield "pubsub_channels", len(pubsub.channels)
    yield "pubsub_patterns", len(pubsub.patterns)
    yield "pubsubshard_channels", len(pubsub.shard_channels)
    yield "latest_fork_usec", int(broker.persistence.background.fork_seconds * 1_000_000)
    yield "total_forks", broker.persistence.background.forks
    yield "migrate_cached_sockets", broker.migrations.idle.size
    yield "slave_expires_tracked_keys", len(keyspace.written_here or ())
    for name in ("hits", "misses", "key_hits", "key_misses"):
        yield f"active_defrag_{name}", 0
    yield "total_active_defrag_time", 0
    yield "current_active_defrag_time", 0
    yield "tracking_total_keys", broker.tracking.keys
    yield "tracking_total_items", broker.tracking.items
    yield "tracking_total_prefixes", broker.tracking.prefixes
    yield "unexpected_error_replies", stats.unexpected_errors
    yield "total_error_replies", stats.error_replies
    yield "dump_payload_sanitizations", stats.packed_values
    yield "total_reads_processed", stats.reads
    yield "total_writes_processed", stats.writes
    yield "io_threaded_reads_processed", 0
    yield "io_threaded_writes_processed", 0
    yield "io_threaded_total_prefetch_batches", 0
    yield "io_threaded_total_prefetch_entries", 0
    yield "client_query_buffer_limit_disconnections", stats.query_limit_closes
    yield "client_output_buffer_limit_disconnections", stats.output_limit_closes
    yield "reply_buffer_shrinks", 0
    yield "reply_buffer_expands", 0
    yield from _loop(broker)
    slow = broker.slowlog.total
    yield "slowlog_commands_count", slow.count
    yield "slowlog_commands_time_ms_max", f"{slow.longest * 1000:.2f}"
    yield "slowlog_commands_time_ms_sum", f"{slow.seconds * 1000:.2f}"
    yield "hash_templates", 0
    yield "hash_template_keys", 0
    for reason, count in broker.users.log.denied.items():
        yield f"acl_access_denied_{_DENIED_NAMES.get(reason, reason)}", count
    yield "trimaran_collections", stats.collector.count
    yield "trimaran_collections_usec", int(stats.collector.seconds * 1_000_000)
    yield "trimaran_collections_max_usec", int(stats.collector.longest * 1_000_000)


def _command_seconds(broker: Broker) -> float:
    """Returns the time spent in commands. EXEC's is that of the commands it executed, which have counted it, too."""
    times = sum(command.seconds for command in broker.commands if command.name != b"exec")
    return min(times, broker.stats.loop_seconds())


def _loop(broker: Broker) -> Fields:
    stats = broker.stats
    held_back = sum(session.transport.held_back() for session in broker.sessions.values())
    pipelined = stats.requests + held_back
    yield "eventloop_cycles", stats.cycles
    yield "eventloop_duration_sum", int(stats.loop_seconds() * 1_000_000)
    yield "eventloop_duration_cmd_sum", int(_command_seconds(broker) * 1_000_000)
    yield "instantaneous_eventloop_cycles_per_sec", int(stats.cycle_rate)
    yield "instantaneous_eventloop_duration_usec", int(stats.cycle_seconds * 1_000_000)
    yield "eventloop_cycles_with_clients_processing", stats.busy_cycles
    yield "total_client_processing_events", stats.reads
    yield "avg_pipeline_length_sum", pipelined
    yield "avg_pipeline_length_cnt", stats.pipelines
    yield "avg_pipeline_length", f"{pipelined / max(1, stats.pipelines):.2f}"


def _cpu(broker: Broker) -> Fields:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "used_cpu_sys", f"{own.ru_stime:.6f}"
    yield "used_cpu_user", f"{own.ru_utime:.6f}"
    yield "used_cpu_sys_children", f"{children.ru_stime:.6f}"
    yield "used_cpu_user_children", f"{children.ru_utime:.6f}"
    main = figures.thread_usage()
    yield "used_cpu_sys_main_thread", f"{main.ru_stime:.6f}"
    yield "used_cpu_user_main_thread", f"{main.ru_utime:.6f}"


def _hotkeys(broker: Broker) -> Fields:
    hotkeys = broker.hotkeys
    if hotkeys.measurement is not None:
        yield "hotkeys-tracking-active", int(hotkeys.active)
        yield "hotkeys-cmd-cpu-time", int(hotkeys.measurement.spent * 1000)


def _nothing(broker: Broker) -> Fields:
    yield from ()


def _errorstats(broker: Broker) -> Fields:
    for code, count in sorted(broker.stats.errors.items()):
        # A script may invent an error code; it must not break the line.
        yield f"errorstat_{code.translate(_UNSAFE).decode(errors='surrogateescape')}", f"count={count}"


_UNSAFE: Final = bytes.maketrans(b"#:\n\r", b"____")


def _cluster(broker: Broker) -> Fields:
    yield "cluster_enabled", int(broker.config.cluster_enabled)


def _keyspace(broker: Broker) -> Fields:
    for database in broker.keyspace.databases:
        if database.data:
            average, fields = figures.average_ttl(database, broker.clock.now), figures.hashes_with_deadlines(database)
            counts = f"keys={len(database.data)},expires={len(database.expires)},avg_ttl={average},subexpiry={fields}"
            yield f"db{database.index}", counts


def _keysizes(broker: Broker) -> Fields:
    for database in broker.keyspace.databases:
        for name, histogram in figures.key_sizes(database, broker.config).items():
            yield f"db{database.index}_distrib_{name}", histogram


SECTIONS: Final[dict[str, tuple[str, Callable[[Broker], Fields]]]] = {
    "server": ("Server", _server),
    "clients": ("Clients", _clients),
    "memory": ("Memory", _memory),
    "persistence": ("Persistence", _persistence),
    "threads": ("Threads", _threads),
    "stats": ("Stats", _stats),
    "replication": ("Replication", replication),
    "cpu": ("CPU", _cpu),
    "hotkeys": ("Hotkeys", _hotkeys),
    "modules": ("Modules", _nothing),
    "commandstats": ("Commandstats", commandstats),
    "errorstats": ("Errorstats", _errorstats),
    "latencystats": ("Latencystats", latencystats),
    "cluster": ("Cluster", _cluster),
    "keyspace": ("Keyspace", _keyspace),
    "keysizes": ("Keysizes", _keysizes),
}
"""Section -> its title and its fields, in INFO's order."""

DEFAULT_SECTIONS: Final = frozenset(SECTIONS) - {"commandstats", "latencystats"}
"""The sections that INFO without arguments returns."""
