"""A server's reply as what JSON has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any

from coredis.exceptions import RedisError

from consumers.commands.reply_text import error_text

__all__ = ["json_value"]


def json_value(reply: Any) -> Any:
    """Return the reply for json.dumps. Bytes that are not UTF-8 are escaped, and an error is {"error": its text}."""
    if isinstance(reply, Mapping):
        return {str(json_value(key)): json_value(value) for key, value in reply.items()}
    if isinstance(reply, list | tuple | Set):
        return [json_value(member) for member in reply]
    if isinstance(reply, RedisError):
        return {"error": error_text(reply)}
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "backslashreplace")
    if isinstance(reply, float) and not math.isfinite(reply):
        return str(reply)  # JSON has no infinities
    return reply
