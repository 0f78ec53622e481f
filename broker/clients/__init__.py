"""A client without its socket: its session, its blocked command, its subscriptions."""
