"""Commands on sorted sets: members, ranges, pops, operations between them."""
