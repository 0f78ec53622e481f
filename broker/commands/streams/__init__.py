"""Commands on streams: adding, reading, groups, claiming, information."""
