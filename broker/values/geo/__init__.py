"""Positions on the globe: geohashes, areas, and the nearest members."""
