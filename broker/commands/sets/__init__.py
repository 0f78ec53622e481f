"""Sets: members, and operations between sets."""
