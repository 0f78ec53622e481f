"""Positions in sorted sets."""
