"""A server's figures in short."""

import coredis

from consumers.commands.server_figures import overview, read

Client = coredis.Redis[bytes]


async def test_a_real_server(client: Client) -> None:
    await client.set("k", "v")
    for _ in range(3):
        await client.get("k")
    await client.get("none")
    found = await overview(client)
    assert found.kind in ("Trimaran", "Redis") and found.version
    assert (found.keys, found.blocked) == (1, 0) and found.clients >= 1 and found.memory > 0
    assert found.replication == "master, 0 replicas"
    assert found.busiest and sum(share for _, share in found.busiest) <= 100.0001
    assert found.hits is not None and 0 <= found.hits <= 100


def test_what_must_not_be_overlooked() -> None:
    base = {"redis_version": "7.0", "role": "master"}
    assert read([{**base, "rdb_last_bgsave_status": "err"}]).stored == "THE LAST SAVE FAILED"
    assert "FAILED" in read([{**base, "aof_enabled": "1", "aof_last_write_status": "err"}]).stored
    assert read([{**base, "aof_enabled": "1"}]).stored == "append-only file"
    assert read([{**base, "rdb_changes_since_last_save": "1500"}]).stored == "1,500 changes since the last save"
    assert read([{**base, "loading": "1"}]).stored == "loading"
    replica = {"role": "slave", "master_host": "a", "master_port": "1", "master_link_status": "down"}
    assert read([replica]).replication == "replica of a:1, link down"


def test_a_cluster_is_added_up() -> None:
    one = {
        "redis_version": "8.0",
        "connected_clients": "3",
        "db0": "keys=5,expires=0",
        "cmdstat_get": "calls=1,usec=30",
    }
    two = {
        "redis_version": "8.0",
        "connected_clients": "4",
        "db0": "keys=7,expires=0",
        "cmdstat_set": "calls=1,usec=10",
    }
    found = read([one, two])
    assert (found.kind, found.clients, found.keys) == ("2 nodes of Redis", 7, 12)
    assert found.busiest == [("get", 75.0), ("set", 25.0)] and found.hits is None
