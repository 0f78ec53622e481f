"""Streams: adding, reading, groups, claiming, information."""
