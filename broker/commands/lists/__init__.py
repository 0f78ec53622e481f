"""Lists: ends, elements, moves, pops."""
