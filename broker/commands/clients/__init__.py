"""A client and its connection, its subscriptions, its transaction."""
