"""The request parser in use: the compiled twin where it was built, else the pure one.

The environment variable TRIMARAN_PURE=1 chooses the pure one, to compare the two.
"""

import os

from protocol.requests import ProtocolError, RequestParser

__all__ = ["COMPILED", "ProtocolError", "RequestParser"]


def _compiled() -> type[RequestParser] | None:
    if os.environ.get("TRIMARAN_PURE") == "1":
        return None
    try:
        from protocol import _requests
    except ImportError:
        return None
    return _requests.RequestParser
