"""The commands of `trimaran` that talk to servers as a client does: health, promote, follow, replicas, migrate, due.

They need nothing but a socket, and work with any server that speaks RESP.

- `places`: where a server is, and the options that say how to reach it
- `connection`: requests and their replies
- `health`: whether it serves
- `info`: what INFO says about its replication
- `roles`: promote, follow, replicas
- `moving`: from one server to another without a loss
- `due`: delayed entries, where the server only keeps them
"""
