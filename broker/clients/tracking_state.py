"""How one client wants to be told about changes of the keys it caches (CLIENT TRACKING)."""

from __future__ import annotations


class TrackingState:
    """The options of a client with tracking on.

    `client` is the client's ID, as an object: all entries of the tracking table share it. `redirect` is the ID of the
    client that gets the messages instead, 0 for none; `broken` says that it was gone when one was to be sent.
    `broadcast` clients are told of all changes of keys that begin with one of `prefixes`, whether they have read them
    or not. With `opt_in`, only reads that follow CLIENT CACHING YES are tracked; with `opt_out`, all but those that
    follow CLIENT CACHING NO; `caching` says that one of these was given. With `no_loop`, the client is not told of its
    own changes.
    """

    __slots__ = ("broadcast", "broken", "caching", "client", "no_loop", "opt_in", "opt_out", "prefixes", "redirect")

    def __init__(self, client: object) -> None:
        self.client = client
        self.redirect = 0
        self.broken = False
        self.broadcast = False
        self.opt_in = False
        self.opt_out = False
        self.no_loop = False
        self.caching = False
        self.prefixes: dict[bytes, None] = {}
