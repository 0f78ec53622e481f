"""Sorted sets: members, ranges, pops, operations between them."""
