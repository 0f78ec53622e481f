"""Brokers for tests and programs: pytest fixtures, and clients that need no port."""
