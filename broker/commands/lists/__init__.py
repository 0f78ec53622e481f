"""Commands on lists: ends, elements, moves, pops."""
