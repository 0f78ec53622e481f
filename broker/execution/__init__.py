"""Turning requests into executed commands, in one place."""
