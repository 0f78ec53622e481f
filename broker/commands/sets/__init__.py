"""Commands on sets: members, and operations between sets."""
