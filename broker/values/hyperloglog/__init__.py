"""HyperLogLog in Redis's format."""
