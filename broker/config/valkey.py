"""The directives that Valkey 9 has and Redis does not, so that a valkey.conf file works unchanged.

They are checked like Redis's. CONFIG GET shows them only when named in full, so that `CONFIG GET *` lists what Redis's
does.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from broker.config.kinds import INT64_MAX, INT_MAX, Bool, Choice, Integer, Memory, Text

SYNONYMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "primaryauth": "masterauth",
        "primaryuser": "masteruser",
        "commandlog-execution-slower-than": "slowlog-log-slower-than",
        "commandlog-slow-execution-max-len": "slowlog-max-len",
    }
)
"""Valkey's names for directives that Redis has as well."""


class ValkeyDeclarations:
    """One attribute per directive; see broker.config.directives."""

    # Listening.
    unixsocketgroup = Text(immutable=True, hidden=True)
    tcp_keepalive_probes = Integer(3, 1, INT_MAX, hidden=True)
    mptcp = Bool(False, immutable=True, hidden=True, inert=True)
    rdma_port = Integer(0, 0, 65535, hidden=True, inert="RDMA")
    rdma_bind = Text(hidden=True, inert=True)
    rdma_rx_size = Integer(1024 * 1024, 64 * 1024, 16 * 1024 * 1024, immutable=True, hidden=True, inert=True)
    rdma_completion_vector = Integer(-1, -1, 1024, immutable=True, hidden=True, inert=True)
    tls_auto_reload_interval = Integer(0, 0, INT_MAX, hidden=True)

    # The process.
    availability_zone = Text(empty_is_unset=False, hidden=True)
    extended_redis_compatibility = Bool(False, hidden=True, inert=True)
    hash_seed = Text(immutable=True, hidden=True, inert=True)
    log_timestamp_format = Choice("legacy", ("legacy", "iso8601", "milliseconds"), hidden=True)
    io_threads_always_active = Bool(False, hidden=True, inert=True)
    min_io_threads_avoid_copy_reply = Integer(7, 0, INT_MAX, hidden=True, inert=True)
    min_string_size_avoid_copy_reply = Integer(16384, 0, INT_MAX, hidden=True, inert=True)
    min_string_size_avoid_copy_reply_threaded = Integer(65536, 0, INT_MAX, hidden=True, inert=True)
    active_defrag_cycle_us = Integer(500, 0, 100000, hidden=True, inert=True)

    # Observation.
    commandlog_request_larger_than = Integer(1024 * 1024, -1, INT64_MAX, hidden=True)
    commandlog_large_request_max_len = Integer(128, 0, INT64_MAX, hidden=True)
    commandlog_reply_larger_than = Integer(1024 * 1024, -1, INT64_MAX, hidden=True)
    commandlog_large_reply_max_len = Integer(128, 0, INT64_MAX, hidden=True)

    # Data.
    import_mode = Bool(False, hidden=True)
    rdb_version_check = Choice("strict", ("strict", "relaxed"), hidden=True, inert=True)
    lua_enable_insecure_api = Bool(False, immutable=True, hidden=True, inert=True)

    # Replication and cluster.
    dual_channel_replication_enabled = Bool(False, hidden=True, inert=True)
    repl_mptcp = Bool(False, immutable=True, hidden=True, inert=True)
    cluster_announce_client_ipv4 = Text(hidden=True, inert=True)
    cluster_announce_client_ipv6 = Text(hidden=True, inert=True)
    cluster_announce_client_port = Integer(0, 0, 65535, hidden=True, inert=True)
    cluster_announce_client_tls_port = Integer(0, 0, 65535, hidden=True, inert=True)
    cluster_blacklist_ttl = Integer(60, 0, INT_MAX, hidden=True, inert=True)
    cluster_config_save_behavior = Choice("sync", ("sync", "best-effort"), hidden=True, inert=True)
    cluster_databases = Integer(1, 1, INT_MAX, immutable=True, hidden=True, inert=True)
    cluster_manual_failover_timeout = Integer(5000, 1, INT_MAX, hidden=True, inert=True)
    cluster_message_gossip_perc = Integer(10, 0, 100, hidden=True, inert=True)
    cluster_slot_migration_log_max_len = Integer(1000, 0, INT64_MAX, hidden=True, inert=True)
    slot_migration_max_failover_repl_bytes = Memory(0, -1, INT64_MAX, hidden=True, inert=True)
