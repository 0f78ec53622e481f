"""Append-only files: commands in RESP with checksum lines, and the manifest that names the files."""
