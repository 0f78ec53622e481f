"""Commands on hashes and the deadlines of their fields."""
