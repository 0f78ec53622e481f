"""Every directive of redis-server 8.10 (and 7.0, which has fewer) and our own, each declared once.

The name is the attribute with dashes. Names, bounds and defaults are those of src/config.c. Directives marked inert are
checked like any other, so that an existing redis.conf file starts the broker and CONFIG GET returns what clients
expect, but nothing here depends on their values; see kinds.Directive for the two kinds of them. A test finds directives
that are not read but not marked, and vice versa.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from broker.config.kinds import (
    INT64_MAX,
    INT_MAX,
    UINT64_MAX,
    UINT_MAX,
    Bool,
    Choice,
    Directive,
    FileName,
    Flags,
    Integer,
    Memory,
    MemoryOrPercent,
    Octal,
    Secret,
    Text,
    bytes_of,
)
from broker.config.syntaxes import (
    Addresses,
    BacklogSize,
    BufferLimit,
    BufferLimits,
    Directory,
    EventClasses,
    Frequency,
    Master,
    OomScores,
    OutputBufferLimits,
    Percentiles,
    SavePoint,
    SavePoints,
)
from broker.config.valkey import SYNONYMS, ValkeyDeclarations
from broker.process.title import check_template

INT_MIN = -INT_MAX - 1
KB = 1024
MB = 1024 * KB
GB = 1024 * MB

# The values of replication-compat.
LATEST: Final = "latest"
REDIS_7_0: Final = "7.0"

# Directives of older versions that a file may still contain: Redis ignores them if they have exactly one value.
FORGOTTEN = frozenset(
    {
        "list-max-ziplist-entries",
        "list-max-ziplist-value",
        "lua-replicate-commands",
        "io-threads-do-reads",
        "events-per-io-thread",
    }
)


def _base_name(what: str, kind: str, may_be_empty: bool = False) -> Callable[[str], None]:
    """Returns a check that refuses paths, since another directive sets the folder."""

    def check(value: str) -> None:
        if not value and not may_be_empty:
            raise ValueError(f"{what} can't be empty")
        if "/" in value or "\\" in value:
            raise ValueError(f"{what} can't be a path, just a {kind}")

    return check


_HOST: Final = re.compile(r"[0-9A-Za-z.-]*")
_HOST_MAX: Final = 256
_ADDRESS_MAX: Final = 46
_NOT_IN_NAMES: Final = re.compile(r"[\x00-,:-@\[-^{-\x7f]")


def _announced_host(value: str) -> None:
    if len(bytes_of(value)) >= _HOST_MAX:
        raise ValueError("Hostnames must be less than 256 characters")
    if not _HOST.fullmatch(value):
        raise ValueError("Hostnames may only contain alphanumeric characters, hyphens or dots")


def _announced_address(value: str) -> None:
    if len(bytes_of(value)) >= _ADDRESS_MAX:
        raise ValueError("Hostnames for cluster-announce-ip must be less than 46 characters")
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        _announced_host(value)


def _announced_name(value: str) -> None:
    if _NOT_IN_NAMES.search(value):
        raise ValueError("Announced human node name contained invalid character")


def _peer_names(value: str) -> None:
    if any(character in value for character in "\t\n\v\f\r"):
        raise ValueError(
            "tls-expected-peer-name must not contain whitespace other than spaces separating names;"
            " use an empty string to disable it"
        )
    if value and not value.strip(" "):
        raise ValueError("tls-expected-peer-name contains no usable name; use an empty string to disable it")


def _save_or_not(flags: frozenset[str]) -> None:
    if flags >= {"save", "nosave"}:
        raise ValueError("shutdown options SAVE and NOSAVE can't be used simultaneously")


def _some_address(text: str) -> None:
    if not text.split():
        raise ValueError("http-bind needs an address")


def _collector(text: str) -> None:
    """As strict as the console is, which would be started again and again otherwise."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if text and not usable:
        raise ValueError("otlp-endpoint must be a URL as http://collector:4318 is")
    if text and parts.username is not None:
        raise ValueError("otlp-endpoint: credentials belong in OTEL_EXPORTER_OTLP_HEADERS, not in the URL")


class Declarations(ValkeyDeclarations):
    """The table: one attribute per directive, which has the type of its value."""

    # Listening.
    bind = Addresses(("*", "-::*"))
    port = Integer(6379, 0, 65535)
    unixsocket = Text(immutable=True)
    unixsocketperm = Octal(0, 0, 0o777, unsigned=True, immutable=True)
    protected_mode = Bool(True)
    tcp_backlog = Integer(511, 0, INT_MAX, immutable=True)
    tcp_keepalive = Integer(300, 0, INT_MAX)
    timeout = Integer(0, 0, INT_MAX)
    maxclients = Integer(10000, 1, UINT_MAX, unsigned=True)
    bind_source_addr = Text()
    socket_mark_id = Integer(0, 0, UINT_MAX, unsigned=True, immutable=True)
    max_new_connections_per_cycle = Integer(10, 1, 1000, unsigned=True)
    max_new_tls_connections_per_cycle = Integer(1, 1, 1000, unsigned=True)

    # The console.
    http_port = Integer(0, 0, 65535, immutable=True, own=True)
    """Ours: the port of the console (docs/console.md), a process of its own; 0 means that there is none."""
    http_bind = Text("127.0.0.1", immutable=True, empty_is_unset=False, check=_some_address, own=True)
    """Ours: the address on which the console listens, or several, separated by spaces."""
    http_host = Text(immutable=True, own=True)
    """Ours: names, separated by spaces, under which browsers reach the console, besides addresses and localhost."""
    otlp_endpoint = Text(immutable=True, check=_collector, own=True)
    """Ours: the collector of OpenTelemetry to which the console pushes metrics (docs/observing.md)."""
    otlp_interval = Integer(0, 0, 86400, immutable=True, own=True)
    """Ours: the seconds between two pushes; 0: as OTEL_METRIC_EXPORT_INTERVAL says, or 60."""
    otlp_user = Text(immutable=True, own=True)
    """Ours: the user as whom the console reads metrics, where the default user needs a password."""
    otlp_password = Secret(immutable=True, own=True)
    """Ours: that user's password, or the default user's."""

    # TLS.
    tls_port = Integer(0, 0, 65535)
    tls_session_cache_size = Integer(20 * KB, 0, INT_MAX)
    tls_session_cache_timeout = Integer(300, 0, INT_MAX)
    tls_cluster = Bool(False)
    tls_replication = Bool(False)
    tls_auth_clients = Choice("yes", ("no", "yes", "optional"))
    tls_auth_clients_user = Choice("off", ("CN", "off"))
    tls_prefer_server_ciphers = Bool(False)
    tls_session_caching = Bool(True)
    tls_cert_file = FileName()
    tls_key_file = FileName()
    tls_key_file_pass = Secret(ends_at_null=True)
    tls_client_cert_file = FileName()
    tls_client_key_file = FileName()
    tls_client_key_file_pass = Secret(ends_at_null=True)
    tls_dh_params_file = FileName()
    tls_ca_cert_file = FileName()
    tls_ca_cert_dir = FileName()
    tls_protocols = Text()
    tls_ciphers = Text()
    tls_ciphersuites = Text()
    tls_expected_peer_name = Text(check=_peer_names)

    # The process.
    dir = Directory("", protected=True, while_loading=False)
    daemonize = Bool(False, immutable=True)
    pidfile = Text(immutable=True)
    supervised = Choice("no", ("upstart", "systemd", "auto", "no"), immutable=True)
    shutdown_timeout = Integer(10, 0, INT_MAX)
    shutdown_on_sigint = Flags("default", ("save", "nosave", "now", "force"), check=_save_or_not)
    shutdown_on_sigterm = Flags("default", ("save", "nosave", "now", "force"), check=_save_or_not)
    databases = Integer(16, 1, INT_MAX, immutable=True)
    hz = Frequency(10, 0, INT_MAX, inert=True)
    dynamic_hz = Bool(True, inert=True)
    set_proc_title = Bool(True, immutable=True)
    proc_title_template = Text("{title} {listen-addr} {server-mode}", empty_is_unset=False, check=check_template)
    always_show_logo = Bool(False, immutable=True, inert=True)
    crash_log_enabled = Bool(True)
    crash_memcheck_enabled = Bool(True, inert=True)
    use_exit_on_panic = Bool(False, hidden=True, inert=True)
    watchdog_period = Integer(0, 0, INT_MAX, hidden=True)
    disable_thp = Bool(True, immutable=True)
    oom_score_adj = Choice("no", ("no", "yes", "relative", "absolute"), same={"relative": "yes"})
    oom_score_adj_values = OomScores((0, 200, 800))
    io_threads = Integer(1, 1, 128, immutable=True, inert=True)
    prefetch_batch_max_size = Integer(16, 0, 128, hidden=True, inert=True)
    server_cpulist = Text(alias="server_cpulist", immutable=True)
    bio_cpulist = Text(alias="bio_cpulist", immutable=True)
    aof_rewrite_cpulist = Text(alias="aof_rewrite_cpulist", immutable=True)
    bgsave_cpulist = Text(alias="bgsave_cpulist", immutable=True)
    locale_collate = Text(empty_is_unset=False)
    ignore_warnings = Text(empty_is_unset=False, inert=True)
    enable_protected_configs = Choice("no", ("no", "yes", "local"), immutable=True)
    enable_debug_command = Choice("no", ("no", "yes", "local"), immutable=True)
    enable_module_command = Choice("no", ("no", "yes", "local"), immutable=True)

    # Logging.
    loglevel = Choice("notice", ("debug", "verbose", "notice", "warning", "nothing"))
    logfile = Text(immutable=True, empty_is_unset=False)
    log_format = Choice("text", ("text", "json", "logfmt", "legacy"), same={"legacy": "text"}, own=True)
    syslog_enabled = Bool(False, immutable=True)
    syslog_ident = Text("redis", immutable=True, empty_is_unset=False)
    syslog_facility = Choice(
        "local0",
        ("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
        immutable=True,
    )
    hide_user_data_from_log = Bool(False)

    # Clients and requests.
    requirepass = Secret()
    aclfile = Text(immutable=True, empty_is_unset=False)
    acl_pubsub_default = Choice("resetchannels", ("allchannels", "resetchannels"))
    acllog_max_len = Integer(128, 0, INT64_MAX)
    proto_max_bulk_len = Memory(512 * MB, MB, INT64_MAX)
    client_query_buffer_limit = Memory(GB, MB, INT64_MAX, unsigned=True)
    client_output_buffer_limit = OutputBufferLimits(
        BufferLimits(
            normal=BufferLimit(0, 0, 0),
            replica=BufferLimit(256 * MB, 64 * MB, 60),
            pubsub=BufferLimit(32 * MB, 8 * MB, 60),
        )
    )
    maxmemory_clients = MemoryOrPercent(0, -100, INT64_MAX)
    lookahead = Integer(16, 1, INT_MAX, inert=True)
    client_default_resp = Integer(2, 2, 3, unsigned=True, immutable=True, hidden=True, inert=True)
    tracking_table_max_keys = Integer(1000000, 0, INT64_MAX, unsigned=True)
    req_res_logfile = Text(immutable=True, hidden=True, inert=True)

    # Memory.
    maxmemory = Memory(0, 0, UINT64_MAX, unsigned=True)
    maxmemory_policy = Choice(
        "noeviction",
        (
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
            "volatile-lrm",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "allkeys-lrm",
            "noeviction",
        ),
    )
    maxmemory_samples = Integer(5, 1, 64)
    maxmemory_eviction_tenacity = Integer(10, 0, 100, inert=True)
    lfu_log_factor = Integer(10, 0, INT_MAX)
    lfu_decay_time = Integer(1, 0, INT_MAX)
    active_expire_effort = Integer(1, 1, 10, inert=True)
    lazyfree_lazy_eviction = Bool(False, inert=True)
    lazyfree_lazy_expire = Bool(False, inert=True)
    lazyfree_lazy_server_del = Bool(False, inert=True)
    lazyfree_lazy_user_del = Bool(False, inert=True)
    lazyfree_lazy_user_flush = Bool(False, inert=True)
    lazyexpire_nested_arbitrary_keys = Bool(True, hidden=True, inert=True)
    activerehashing = Bool(True, inert=True)
    activedefrag = Bool(False, inert=True)
    active_defrag_cycle_min = Integer(1, 1, 99, inert=True)
    active_defrag_cycle_max = Integer(25, 1, 99, inert=True)
    active_defrag_threshold_lower = Integer(10, 0, 1000, inert=True)
    active_defrag_threshold_upper = Integer(100, 0, 1000, inert=True)
    active_defrag_max_scan_fields = Integer(1000, 1, INT64_MAX, inert=True)
    active_defrag_ignore_bytes = Memory(100 * MB, 1, INT64_MAX, unsigned=True, inert=True)
    jemalloc_bg_thread = Bool(True, inert=True)
    key_memory_histograms = Bool(False)

    # Snapshots.
    save = SavePoints((SavePoint(3600, 1), SavePoint(300, 100), SavePoint(60, 10000)))
    dbfilename = Text(
        "dump.rdb", protected=True, empty_is_unset=False, check=_base_name("dbfilename", "filename", True)
    )
    rdbcompression = Bool(True)
    rdbchecksum = Bool(True, immutable=True)
    stop_writes_on_bgsave_error = Bool(True)
    rdb_save_incremental_fsync = Bool(True, inert=True)
    rdb_skip_unsupported = Bool(False, own=True)
    """Ours: whether keys of types that only redis-server has are left out of what is loaded."""
    rdb_del_sync_files = Bool(False, inert=True)
    rdb_key_save_delay = Integer(0, INT_MIN, INT_MAX, hidden=True)
    key_load_delay = Integer(0, INT_MIN, INT_MAX, hidden=True)
    sanitize_dump_payload = Choice("no", ("no", "yes", "clients"), inert=True)
    preload_file = Text(immutable=True, inert="loading a file before the others")
    backupdirname = Text(
        "backupdir", immutable=True, empty_is_unset=False, check=_base_name("backupdirname", "dirname")
    )
    backup_sealed_ttl = Integer(0, 0, INT64_MAX)

    # The append-only file.
    appendonly = Bool(False)
    appendfilename = Text(
        "appendonly.aof", immutable=True, empty_is_unset=False, check=_base_name("appendfilename", "filename")
    )
    appenddirname = Text(
        "appendonlydir", immutable=True, empty_is_unset=False, check=_base_name("appenddirname", "dirname")
    )
    appendfsync = Choice("everysec", ("everysec", "always", "no"))
    no_appendfsync_on_rewrite = Bool(False)
    auto_aof_rewrite_percentage = Integer(100, 0, INT_MAX)
    auto_aof_rewrite_min_size = Memory(64 * MB, 0, INT64_MAX)
    aof_load_truncated = Bool(True)
    aof_load_corrupt_tail_max_size = Integer(0, 0, INT64_MAX)
    aof_use_rdb_preamble = Bool(True)
    aof_timestamp_enabled = Bool(False)
    aof_rewrite_incremental_fsync = Bool(True, inert=True)
    aof_disable_auto_gc = Bool(False, hidden=True, inert=True)
    loading_process_events_interval_bytes = Integer(512 * KB, KB, INT_MAX, hidden=True, inert=True)
    propagation_error_behavior = Choice("ignore", ("ignore", "panic", "panic-on-replicas"), inert=True)

    # Encodings.
    hash_max_listpack_entries = Integer(512, 0, INT64_MAX, unsigned=True, alias="hash-max-ziplist-entries")
    hash_max_listpack_value = Memory(64, 0, INT64_MAX, unsigned=True, alias="hash-max-ziplist-value")
    list_max_listpack_size = Integer(-2, INT_MIN, INT_MAX, alias="list-max-ziplist-size")
    list_compress_depth = Integer(0, 0, INT_MAX, inert=True)
    set_max_intset_entries = Integer(512, 0, INT64_MAX, unsigned=True)
    set_max_listpack_entries = Integer(128, 0, INT64_MAX, unsigned=True)
    set_max_listpack_value = Integer(64, 0, INT64_MAX, unsigned=True)
    zset_max_listpack_entries = Integer(128, 0, INT64_MAX, unsigned=True, alias="zset-max-ziplist-entries")
    zset_max_listpack_value = Memory(64, 0, INT64_MAX, unsigned=True, alias="zset-max-ziplist-value")
    stream_node_max_entries = Integer(100, 0, INT64_MAX)
    stream_node_max_bytes = Memory(4096, 0, INT64_MAX, unsigned=True)
    stream_idmp_duration = Integer(100, 1, 86400)
    stream_idmp_maxsize = Integer(100, 1, 10000)
    hll_sparse_max_bytes = Memory(3000, 0, INT64_MAX, unsigned=True)
    hash_min_template_entries = Integer(0, 0, INT64_MAX, unsigned=True, inert=True)
    hash_max_template_entries = Integer(0, 0, INT64_MAX, unsigned=True, inert=True)
    hash_rdb_load_min_template_entries = Integer(0, 0, INT64_MAX, unsigned=True, inert=True)
    hash_rdb_load_max_template_entries = Integer(0, 0, INT64_MAX, unsigned=True, inert=True)
    hash_rdb_load_template_disassembly_threshold = Integer(0, 0, INT64_MAX, unsigned=True, inert=True)
    array_slice_size = Integer(4096, 256, 65536, unsigned=True, inert=True)
    array_sparse_kmax = Integer(10, 0, 256, unsigned=True, inert=True)
    array_sparse_kmin = Integer(5, 0, 256, unsigned=True, inert=True)

    # Observation.
    slowlog_entry_max_argc = Integer(32, 2, INT_MAX)
    slowlog_max_len = Integer(128, 0, INT64_MAX)
    slowlog_entry_max_string_len = Integer(128, 1, INT64_MAX)
    slowlog_log_slower_than = Integer(10000, -1, INT64_MAX)
    latency_tracking = Bool(True)
    latency_monitor_threshold = Integer(0, 0, INT64_MAX)
    latency_tracking_info_percentiles = Percentiles((50.0, 99.0, 99.9))
    notify_keyspace_events = EventClasses("")

    # Scripting.
    busy_reply_threshold = Integer(5000, 0, INT64_MAX, alias="lua-time-limit")
    lua_max_memory = Memory(256 * MB, 0, INT64_MAX, own=True)
    """Ours: how much memory the values of all scripts may take; 0 means no limit."""
    lua_enable_deprecated_api = Bool(False, immutable=True, hidden=True, inert=True)

    # The vector sets module, which is built into redis-server.
    vset_force_single_threaded_execution = Bool(False, inert=True)

    # Streams.
    stream_extensions = Bool(False, immutable=True, own=True)
    """Ours: the policies of groups, and the commands and options that set them, which no Redis has."""
    stream_delayed_max = Integer(1_000_000, 1, INT64_MAX, own=True)
    """Ours: the number of delayed entries that a stream may have."""
    stream_parked_max = Integer(10_000, 0, INT64_MAX, own=True)
    """Ours: how many entries of a group with ORDERBY may wait for others with their value."""

    # Replication.
    replication_compat = Choice(LATEST, (LATEST, REDIS_7_0), own=True)
    """Ours: the oldest server that must understand effects and files, as far as it has a word for what they say."""
    replicaof = Master(None, alias="slaveof", immutable=True)
    masteruser = Secret()
    masterauth = Secret()
    replica_lazy_flush = Bool(False, alias="slave-lazy-flush", inert=True)
    replica_serve_stale_data = Bool(True, alias="slave-serve-stale-data")
    replica_read_only = Bool(True, alias="slave-read-only")
    replica_ignore_maxmemory = Bool(True, alias="slave-ignore-maxmemory")
    replica_announced = Bool(True)
    replica_ignore_disk_write_errors = Bool(False, inert=True)
    replica_announce_ip = Text(alias="slave-announce-ip")
    replica_priority = Integer(100, 0, INT_MAX, alias="slave-priority")
    replica_announce_port = Integer(0, 0, 65535, alias="slave-announce-port")
    replica_full_sync_buffer_limit = Memory(0, 0, INT64_MAX, inert=True)
    repl_disable_tcp_nodelay = Bool(False)
    repl_diskless_sync = Bool(True)
    repl_rdb_channel = Bool(True, hidden=True, inert=True)
    repl_diskless_load = Choice("disabled", ("disabled", "on-empty-db", "swapdb", "flushdb"), while_loading=False)
    repl_diskless_sync_delay = Integer(5, 0, INT_MAX)
    repl_timeout = Integer(60, 1, INT_MAX)
    repl_ping_replica_period = Integer(10, 1, INT_MAX, alias="repl-ping-slave-period")
    repl_diskless_sync_max_replicas = Integer(0, 0, INT_MAX)
    repl_compression = Integer(0, 0, 22, immutable=True, hidden=True, inert=True)
    repl_compression_max_latency = Integer(100, 0, INT_MAX, hidden=True, inert=True)
    repl_backlog_size = BacklogSize(MB, 1, INT64_MAX)
    repl_backlog_ttl = Integer(3600, 0, INT64_MAX)
    min_replicas_to_write = Integer(0, 0, INT_MAX, alias="min-slaves-to-write")
    min_replicas_max_lag = Integer(10, 0, INT_MAX, alias="min-slaves-max-lag")

    # Cluster.
    cluster_require_full_coverage = Bool(True, inert=True)
    cluster_replica_no_failover = Bool(False, alias="cluster-slave-no-failover", inert=True)
    cluster_enabled = Bool(False, immutable=True, inert="cluster mode")
    cluster_bus_port_protected_mode = Bool(False, inert=True)
    cluster_allow_reads_when_down = Bool(False, inert=True)
    cluster_allow_pubsubshard_when_down = Bool(True, inert=True)
    cluster_allow_replica_migration = Bool(True, inert=True)
    cluster_slot_stats_enabled = Flags("no", ("cpu", "net", "mem"), every="yes", inert=True)
    cluster_announce_ip = Text(check=_announced_address, inert=True)
    cluster_config_file = Text("nodes.conf", immutable=True, empty_is_unset=False, inert=True)
    cluster_announce_hostname = Text(check=_announced_host, inert=True)
    cluster_announce_human_nodename = Text(check=_announced_name, inert=True)
    cluster_preferred_endpoint_type = Choice("ip", ("ip", "hostname", "unknown-endpoint"), inert=True)
    cluster_replica_validity_factor = Integer(10, 0, INT_MAX, alias="cluster-slave-validity-factor", inert=True)
    cluster_migration_barrier = Integer(1, 0, INT_MAX, inert=True)
    cluster_port = Integer(0, 0, 65535, immutable=True, inert=True)
    cluster_announce_bus_port = Integer(0, 0, 65535, inert=True)
    cluster_announce_port = Integer(0, 0, 65535, inert=True)
    cluster_announce_tls_port = Integer(0, 0, 65535, inert=True)
    cluster_compatibility_sample_ratio = Integer(0, 0, 100, inert=True)
    cluster_slot_migration_max_archived_tasks = Integer(32, 1, INT_MAX, hidden=True, inert=True)
    cluster_node_timeout = Integer(15000, 0, INT64_MAX, inert=True)
    cluster_ping_interval = Integer(0, 0, INT64_MAX, hidden=True, inert=True)
    cluster_slot_migration_handoff_max_lag_bytes = Memory(MB, 0, INT64_MAX, inert=True)
    cluster_slot_migration_write_pause_timeout = Integer(10000, 0, INT64_MAX, inert=True)
    cluster_slot_migration_sync_buffer_drain_timeout = Integer(60000, 0, INT64_MAX, hidden=True, inert=True)
    cluster_link_sendbuf_limit = Memory(0, 0, UINT64_MAX, unsigned=True, inert=True)


TABLE: dict[str, Directive[object]] = {
    directive.name: directive
    for declarations in (Declarations, ValkeyDeclarations)
    for directive in vars(declarations).values()
    if isinstance(directive, Directive)
}
"""Every directive by its own name, in the order of the declarations."""

BY_NAME: dict[str, Directive[object]] = dict(TABLE)
"""Every directive by its name, by its alias, and by the name that Valkey has given it."""

PROCESS_ONLY: Final = frozenset(
    {
        "daemonize", "pidfile", "supervised", "shutdown-on-sigint", "shutdown-on-sigterm",
        "set-proc-title", "proc-title-template", "crash-log-enabled", "watchdog-period", "disable-thp", "oom-score-adj",
        "oom-score-adj-values", "server-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist", "locale-collate",
        "loglevel", "logfile", "log-format", "log-timestamp-format", "syslog-enabled", "syslog-ident",
        "syslog-facility", "http-port", "http-bind", "http-host",
        "otlp-endpoint", "otlp-interval", "otlp-user", "otlp-password",
    }
)  # fmt: skip
"""Directives that for a broker that is a process of its own: its place in the system, its log, its console."""

for _directive in TABLE.values():
    if _directive.alias:
        BY_NAME[_directive.alias] = _directive
for _name, _meant in SYNONYMS.items():
    BY_NAME[_name] = TABLE[_meant]
