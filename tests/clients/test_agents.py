"""Agents that monitor redis-server: what Telegraf's redis input and Datadog's redisdb check ask, and can make of it.

Of the fields that they name, those count that the reference has; each must be there, with a value of the same kind.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.oracle import servers
from tests.oracle.harness import requires

pytestmark = requires("8.10")

# fmt: off
TELEGRAF_INTEGERS = [
    "active_defrag_hits", "active_defrag_key_hits", "active_defrag_key_misses", "active_defrag_misses",
    "active_defrag_running", "allocator_active", "allocator_allocated", "allocator_frag_bytes",
    "allocator_resident", "allocator_rss_bytes", "aof_current_rewrite_time_sec", "aof_enabled", "aof_last_cow_size",
    "aof_last_rewrite_time_sec", "aof_rewrite_in_progress", "aof_rewrite_scheduled", "blocked_clients",
    "client_recent_max_input_buffer", "client_recent_max_output_buffer", "clients_in_timeout_table",
    "cluster_enabled", "connected_clients", "connected_slaves", "evicted_keys", "expire_cycle_cpu_milliseconds",
    "expired_keys", "expired_time_cap_reached_count", "instantaneous_ops_per_sec", "io_threaded_reads_processed",
    "io_threaded_writes_processed", "keyspace_hits", "keyspace_misses", "latest_fork_usec",
    "lazyfree_pending_objects", "loading", "lru_clock", "master_repl_offset", "maxmemory", "mem_aof_buffer",
    "mem_clients_normal", "mem_clients_slaves", "mem_fragmentation_bytes", "mem_not_counted_for_evict",
    "mem_replication_backlog", "migrate_cached_sockets", "module_fork_in_progress", "module_fork_last_cow_size",
    "number_of_cached_scripts", "pubsub_channels", "pubsub_patterns", "rdb_bgsave_in_progress",
    "rdb_changes_since_last_save", "rdb_current_bgsave_time_sec", "rdb_last_bgsave_time_sec", "rdb_last_cow_size",
    "rdb_last_save_time", "rejected_connections", "repl_backlog_active", "repl_backlog_first_byte_offset",
    "repl_backlog_histlen", "repl_backlog_size", "rss_overhead_bytes", "second_repl_offset",
    "slave_expires_tracked_keys", "sync_full", "sync_partial_err", "sync_partial_ok", "total_commands_processed",
    "total_connections_received", "total_net_input_bytes", "total_net_output_bytes", "total_reads_processed",
    "total_system_memory", "total_writes_processed", "tracking_clients", "tracking_total_items",
    "tracking_total_keys", "tracking_total_prefixes", "unexpected_error_replies", "uptime_in_seconds",
    "used_memory", "used_memory_dataset", "used_memory_lua", "used_memory_overhead", "used_memory_peak",
    "used_memory_rss", "used_memory_scripts", "used_memory_startup",
]
TELEGRAF_FLOATS = [
    "allocator_frag_ratio", "allocator_rss_ratio", "expired_stale_perc", "instantaneous_input_kbps",
    "instantaneous_output_kbps", "mem_fragmentation_ratio", "rss_overhead_ratio", "used_cpu_sys",
    "used_cpu_sys_children", "used_cpu_user", "used_cpu_user_children", "used_memory_dataset_perc",
    "used_memory_peak_perc",
]
TELEGRAF_TEXTS = [
    "aof_last_bgrewrite_status", "aof_last_write_status", "maxmemory_policy", "rdb_last_bgsave_status",
    "redis_version", "role",
]
DATADOG = [
    "io_threads_active", "active_defrag_running", "active_defrag_hits", "active_defrag_misses",
    "active_defrag_key_hits", "active_defrag_key_misses", "aof_last_rewrite_time_sec", "aof_rewrite_in_progress",
    "aof_current_size", "aof_buffer_length", "loading_total_bytes", "loading_loaded_bytes", "loading_loaded_perc",
    "loading_eta_seconds", "connected_clients", "connected_slaves", "rejected_connections", "blocked_clients",
    "client_recent_max_input_buffer", "client_recent_max_output_buffer", "evicted_keys", "expired_keys",
    "latest_fork_usec", "instantaneous_input_kbps", "instantaneous_output_kbps", "total_connections_received",
    "pubsub_channels", "pubsub_patterns", "rdb_bgsave_in_progress", "rdb_changes_since_last_save",
    "rdb_last_bgsave_time_sec", "mem_fragmentation_bytes", "mem_fragmentation_ratio",
    "mem_total_replication_buffers", "mem_clients_slaves", "mem_clients_normal", "used_memory", "used_memory_lua",
    "used_memory_peak", "used_memory_rss", "used_memory_startup", "used_memory_overhead", "used_memory_dataset",
    "used_memory_vm_eval", "used_memory_vm_functions", "used_memory_vm_total", "used_memory_functions",
    "used_memory_scripts_eval", "used_memory_scripts", "maxmemory", "master_last_io_seconds_ago",
    "master_sync_in_progress", "master_sync_left_bytes", "repl_backlog_histlen", "master_repl_offset",
    "slave_repl_offset", "total_net_repl_input_bytes", "total_net_repl_output_bytes", "allocator_active",
    "allocator_allocated", "allocator_muzzy", "allocator_resident", "allocator_rss_bytes", "allocator_rss_ratio",
    "acl_access_denied_auth", "acl_access_denied_channel", "acl_access_denied_cmd", "acl_access_denied_key",
    "allocator_active_lua", "allocator_allocated_lua", "allocator_frag_bytes_lua", "allocator_frag_ratio",
    "allocator_resident_lua", "aof_base_size", "aof_current_rewrite_time_sec", "aof_delayed_fsync", "aof_enabled",
    "aof_last_cow_size", "aof_pending_bio_fsync", "aof_pending_rewrite", "aof_rewrite_buffer_length",
    "aof_rewrite_scheduled", "aof_rewrites", "client_output_buffer_limit_disconnections",
    "client_query_buffer_limit_disconnections", "clients_in_timeout_table", "evicted_clients", "watching_clients",
    "pubsub_clients", "pubsubshard_channels", "cluster_connections", "cluster_enabled", "unexpected_error_replies",
    "total_error_replies", "current_active_defrag_time", "total_active_defrag_time",
    "current_eviction_exceeded_time", "total_eviction_exceeded_time", "current_cow_peak", "current_cow_size",
    "current_cow_size_age", "total_forks", "rdb_current_bgsave_time_sec", "rdb_last_cow_size",
    "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded", "rdb_last_save_time", "rdb_saves", "master_port",
    "master_sync_last_io_seconds_ago", "master_sync_read_bytes", "master_sync_total_bytes", "second_repl_offset",
    "repl_backlog_active", "repl_backlog_first_byte_offset", "repl_backlog_size", "replica_announced",
    "slave_expires_tracked_keys", "slave_priority", "slave_read_only", "slave_read_repl_offset", "sync_full",
    "sync_partial_err", "sync_partial_ok", "instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps",
    "min_slaves_good_slaves", "eventloop_cmd_per_cycle_max", "eventloop_cycles", "eventloop_duration_aof_sum",
    "eventloop_duration_cmd_sum", "eventloop_duration_cron_sum", "eventloop_duration_max", "eventloop_duration_sum",
    "instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_duration_usec",
    "expire_cycle_cpu_milliseconds", "expired_subkeys", "expired_time_cap_reached_count", "total_blocking_keys",
    "total_blocking_keys_on_nokey", "total_watched_keys", "evicted_scripts", "number_of_cached_scripts",
    "number_of_functions", "number_of_libraries", "loading", "loading_rdb_used_mem", "loading_start_time",
    "migrate_cached_sockets", "reply_buffer_expands", "reply_buffer_shrinks", "total_net_input_bytes",
    "total_net_output_bytes", "rss_overhead_bytes", "rss_overhead_ratio", "mem_aof_buffer", "mem_cluster_links",
    "mem_not_counted_for_evict", "mem_overhead_db_hashtable_rehashing", "mem_replication_backlog",
    "used_memory_peak_time", "total_commands_processed", "total_reads_processed", "total_writes_processed",
    "tracking_clients", "tracking_total_items", "tracking_total_keys", "tracking_total_prefixes", "used_cpu_sys",
    "used_cpu_sys_children", "used_cpu_user", "used_cpu_user_children", "used_cpu_sys_main_thread",
    "used_cpu_user_main_thread", "keyspace_hits", "keyspace_misses", "io_threaded_reads_processed",
    "io_threaded_writes_processed", "instantaneous_ops_per_sec",
]
# fmt: on


@pytest.fixture
def both() -> Iterator[list[redis.Redis]]:
    """Clients of the reference and of the broker, after the same commands."""
    clients = []
    for server in (servers.reference(), servers.broker()):
        client = redis.Redis(port=server.address[1], decode_responses=True)
        client.flushall()
        client.config_resetstat()
        client.set("k", "v", ex=1000)
        client.rpush("l", "1", "2")
        client.get("nokey")
        with pytest.raises(redis.ResponseError):
            client.incr("l")
        clients.append(client)
    yield clients
    for client in clients:
        client.close()


def lines(client: redis.Redis) -> dict[str, str]:
    """INFO's fields as text, without redis-py's own reading of them."""
    client.set_response_callback("INFO", lambda reply, **_: reply)
    found = client.info("everything")
    assert isinstance(found, str)
    return dict(line.split(":", 1) for line in found.splitlines() if ":" in line)


def number(text: str) -> str:
    """How an agent reads a value: as an integer, a decimal number, or a text."""
    text = text.removesuffix("%")
    return "integer" if re.fullmatch(r"-?\d+", text) else "decimal" if re.fullmatch(r"-?\d+\.\d+", text) else "text"


def test_every_field_has_a_value_of_its_kind(both: list[redis.Redis]) -> None:
    theirs, ours = (lines(client) for client in both)
    named = {*TELEGRAF_INTEGERS, *TELEGRAF_FLOATS, *TELEGRAF_TEXTS, *DATADOG} & theirs.keys()
    assert len(named) > 150
    assert {name: number(ours.get(name, "")) for name in named} == {name: number(theirs[name]) for name in named}


def test_telegrafs_types(both: list[redis.Redis]) -> None:
    """Telegraf converts each value to the type that it expects."""
    theirs, ours = (lines(client) for client in both)
    assert {name for name in TELEGRAF_INTEGERS if name in theirs and number(ours[name]) != "integer"} == set()
    assert {name for name in TELEGRAF_FLOATS if name in theirs and number(ours[name]) == "text"} == set()
    assert {name for name in TELEGRAF_TEXTS if name in theirs and not ours[name]} == set()


@pytest.mark.parametrize("prefix", ["db0", "cmdstat_get", "cmdstat_config|resetstat", "errorstat_WRONGTYPE"])
def test_the_lines_with_parts(both: list[redis.Redis], prefix: str) -> None:
    """Both agents take these apart by themselves: `keys=2,expires=1,...`."""
    theirs, ours = ([part.split("=") for part in lines(client)[prefix].split(",")] for client in both)
    assert [(name, number(value)) for name, value in ours] == [(name, number(value)) for name, value in theirs]


def test_what_datadog_reads_with_redis_py(both: list[redis.Redis]) -> None:
    def told(client: redis.Redis) -> dict[str, Any]:
        info = client.info()
        assert isinstance(info["db0"], dict) and info["role"] == "master" and info["redis_version"]
        keys = info["db0"]["keys"], info["db0"]["expires"]
        statistics = client.info("commandstats")
        assert {type(value["usec_per_call"]) for value in statistics.values()} == {float}
        clients = client.client_list()
        return {
            "keys": keys,
            "databases": list(client.info("keyspace")),
            "limits": client.config_get("maxclients"),
            "slow entries": client.config_get("slowlog-max-len"),
            "statistics": {name: value["calls"] for name, value in statistics.items() if name != "cmdstat_info"},
            "clients": {(one["name"], "addr" in one, "age" in one) for one in clients},
            "lengths": [client.type("l"), client.llen("l"), sorted(client.scan_iter(match="*"))],
        }

    theirs, ours = map(told, both)
    assert ours == theirs


def test_datadogs_slow_log(both: list[redis.Redis]) -> None:
    told = []
    for client in both:
        threshold = client.config_get("slowlog-log-slower-than")
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        client.lpop("l")
        entries = client.slowlog_get(int(client.config_get("slowlog-max-len")["slowlog-max-len"]))
        client.config_set("slowlog-log-slower-than", threshold["slowlog-log-slower-than"])
        client.slowlog_reset()
        assert all(entry["start_time"] > 1_700_000_000 and entry["duration"] >= 0 for entry in entries)
        told.append([(sorted(entry), entry["command"].split()[0]) for entry in entries])
    assert told[1] == told[0]


def test_latencies(both: list[redis.Redis]) -> None:
    """What RedisInsight's and Grafana's sources of data ask besides."""
    told = [
        (
            client.execute_command("LATENCY LATEST"),
            client.execute_command("LATENCY HISTORY", "command"),
            sorted(client.info("latencystats")["latency_percentiles_usec_get"]),
            sorted(client.memory_stats()),
            client.execute_command("CLUSTER INFO") if client.info("cluster")["cluster_enabled"] else None,
        )
        for client in both
    ]
    assert told[1] == told[0]
