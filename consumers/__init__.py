"""The client side of Trimaran: workers and consumers for asyncio and Trio programs, over RESP.

streams   event streams: consumers in groups, producers, replay, dead letters
jobs      job queues: functions that run in workers, on streams
fanout    every service gets every message: live by publish/subscribe, durable by a stream
lists     reliable consumers of plain lists, for producers in other languages
console   the web page: `trimaran ui`
commands  the client side's subcommands of `trimaran`

The transport is coredis; the server may be Trimaran, Redis 7 or later, or Valkey, standalone, behind Sentinel or as a
cluster. Nothing here imports the broker.

These packages share the modules next to them. connecting.py and connection.py: dedicated connections. engine.py: one
member of a consumer group, on which stream consumers and job workers are built; it fetches (fetching.py, groups.py,
capabilities.py), holds (backlog.py, delivery.py, leases.py) and settles entries (settling.py, transactions.py,
deadletters.py). options.py, retry.py, errors.py, middleware.py, telemetry.py and codecs.py are part of the interface.
Work runs in task groups of the block that began it (task_groups.py) and ends with that block; tasks wake each other
with doorbell.py and parking.py. All of it is written on anyio, for asyncio and Trio alike; loops.py is about what they
differ in.
"""
