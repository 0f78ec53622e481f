"""The request parser in use: the compiled twin if it was built, otherwise the pure one."""

from typing import Final

from protocol.native import prefer
from protocol.requests import ProtocolError, RequestParser

prefer(globals(), "protocol._requests", "RequestParser")

__all__ = ["COMPILED", "ProtocolError", "RequestParser"]

COMPILED: Final = RequestParser.__module__ == "protocol._requests"
