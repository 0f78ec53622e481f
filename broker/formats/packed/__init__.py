"""The compact encodings inside RDB values, and their checksum and compression."""
