"""HyperLogLog in Redis's own format."""
