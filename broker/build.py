"""Which build this is: with the compiled twins of its hot modules, or the pure one, which is several times slower."""

import os
from importlib.util import find_spec
from typing import Final

TWINS: Final = (
    "protocol._doubles",
    "protocol._replies",
    "protocol._requests",
    "broker.persistence._aof_writing",
    "broker.persistence._crc64",
    "broker.persistence._listpack",
    "broker.persistence._lzf",
    "broker.persistence._rdb_strings",
    "broker.persistence._stream_listpack",
    "broker.persistence._syncing",
    "broker.scripting._calling",
    "broker.values._bits",
    "broker.values._hyperloglog",
    "broker.values._positions",
    "broker.values._score_order",
    "broker.values._stream_entry",
    "broker.values._stream_id",
    "broker.values._stream_node",
)
"""The compiled modules; each has a pure one beside it that works without."""

COMPILED: Final = "compiled"
PARTLY: Final = "partly compiled"
PURE: Final = "pure"


def build() -> str:
    """COMPILED, PARTLY or PURE."""
    if os.environ.get("TRIMARAN_PURE") == "1":
        return PURE
    there = sum(find_spec(name) is not None for name in TWINS)
    return COMPILED if there == len(TWINS) else PARTLY if there else PURE
