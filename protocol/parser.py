"""The request parser in use: the compiled twin where it was built, else the pure one.

The environment variable TRIMARAN_PURE=1 chooses the pure one, to compare the two.
"""

import os
from typing import TYPE_CHECKING, Final

from protocol.requests import ProtocolError

if TYPE_CHECKING or os.environ.get("TRIMARAN_PURE") == "1":
    from protocol.requests import RequestParser
else:
    try:
        from protocol._requests import RequestParser
    except ImportError:
        from protocol.requests import RequestParser

__all__ = ["COMPILED", "ProtocolError", "RequestParser"]

COMPILED: Final = RequestParser.__module__ == "protocol._requests"
