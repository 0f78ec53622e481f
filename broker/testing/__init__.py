"""Brokers for tests and for programs: pytest fixtures and clients without a port."""
