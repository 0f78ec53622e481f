"""What other servers and redis-cli get from this one through the replication protocol.

- `handshakes`: what a client has said with REPLCONF before it asks
- `snapshot_transfer`: a whole RDB file, sent to clients

There is no stream of writes yet: a client gets the file and is closed, as with REPLCONF rdb-only.
"""
