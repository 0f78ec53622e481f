"""The versions that a broker reports."""

from typing import Final

VERSION: Final = "0.1.0"
"""Trimaran's version, the same as in pyproject.toml (a test compares them)."""

REDIS_VERSION: Final = "8.10.0"
"""The Redis version reported to clients, which choose features by it."""
