"""The stream and its parts: entries, IDs, nodes, groups, pending entries, trimming."""
