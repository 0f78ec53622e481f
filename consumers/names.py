"""Names of keys, channels and consumer groups as text: those that are not UTF-8 keep their odd bytes as surrogates.

So a name that a server has sent can be shown, compared with one from a command line, and sent back as it was.
"""

__all__ = ["decoded", "encoded"]


def decoded(name: bytes) -> str:
    """A server's name as text, without loss."""
    return name.decode("utf-8", "surrogateescape")


def encoded(name: str | bytes) -> bytes:
    """A name as the server knows it."""
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
