"""What is known of one client without its socket: its session, its waiting, its subscriptions."""
