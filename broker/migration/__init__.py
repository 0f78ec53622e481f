"""MIGRATE: moving keys to another server.

- `links`: connections to other servers, and those kept for the next command
- `exchange`: the conversation with the target
- `migrations`: what is under way, and what becomes of the keys at its end
"""
