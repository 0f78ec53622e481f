"""The versions a broker reports."""

from typing import Final

VERSION: Final = "0.1.0"
"""Trimaran's own version; pyproject.toml's, which a test compares."""

REDIS_VERSION: Final = "8.10.0"
"""The Redis version that clients are told, because they choose features by it."""
