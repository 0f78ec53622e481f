"""Positions: their hashes, areas, and what lies near."""
