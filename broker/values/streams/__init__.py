"""The stream and what it consists of: entries, IDs, nodes, groups, pending entries, trimming."""
