"""Commands on a client's connection, subscriptions and transaction."""
