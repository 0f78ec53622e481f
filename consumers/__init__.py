"""The client side of Trimaran: workers and consumers for Trio programs, over RESP.

streams   event streams: consumers in groups, producers, replay, dead letters
jobs      job queues: functions that run in workers, on streams
fanout    every service gets every message: live by publish/subscribe, durable by a stream
lists     reliable consumers of plain lists, for producers in other languages
commands  `trimaran work`, `publish`, `tail`, `queues` and `redrive`

The transport is coredis; the server may be Trimaran, Redis 7 or later, or Valkey, alone, behind Sentinel or as a
cluster. Nothing here imports the broker.

Beside them stand the parts they share. connecting.py and connection.py: the connections of a consumer's own. engine.py:
one member of a consumer group, of which streams' consumers and jobs' workers are made; it fetches (fetching.py,
groups.py, capabilities.py), holds (backlog.py, delivery.py, leases.py) and settles (settling.py, transactions.py,
deadletters.py). options.py, retry.py, errors.py, middleware.py, telemetry.py and codecs.py are what users choose and
meet. Work runs in nurseries of the block that began it (nurseries.py) and ends with that block; its tasks wake each
other with doorbell.py.
"""
