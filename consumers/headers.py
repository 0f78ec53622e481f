"""Fields that this library adds to an entry beside those of the value: `message.fields` has them, `message.data` not.

reply-token    the caller waits at a key of this name (replies.py)
traceparent    the trace that the entry is part of, and
tracestate     what tracing systems add to that: both as in W3C Trace Context
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["REPLY_TOKEN", "TRACEPARENT", "TRACESTATE", "without_headers"]

REPLY_TOKEN: Final = "reply-token"
TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_NAMES = frozenset((REPLY_TOKEN, TRACEPARENT, TRACESTATE))


def without_headers(fields: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the fields that the publisher's codec has written."""
    if _NAMES.isdisjoint(fields):
        return fields
    return {name: value for name, value in fields.items() if name not in _NAMES}
