"""The command table: declaring commands (@command), their grammar, their keys, and common kinds of arguments."""
