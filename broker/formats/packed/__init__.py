"""The compact encodings inside RDB values, and their checksums and compression."""
