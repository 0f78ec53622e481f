"""Hashes, and the deadlines of their fields."""
