"""Which build this is: one with compiled twins of its hot modules, or the pure one, which is several times slower."""

import os
from importlib.util import find_spec
from typing import Final

TWINS: Final = (
    "protocol._doubles",
    "protocol._replies",
    "protocol._requests",
    "broker.network._endpoint",
    "broker.process._epoll",
    "broker.formats.aof._writing",
    "broker.formats.packed._crc64",
    "broker.formats.packed._listpack",
    "broker.formats.packed._lzf",
    "broker.formats.rdb._strings",
    "broker.formats.packed._stream_listpack",
    "broker.persistence._syncing",
    "broker.scripting._border",
    "broker.scripting._calling",
    "broker.scripting.libraries._cjson",
    "broker.scripting.libraries._cmsgpack",
    "broker.values._bits",
    "broker.values._hash",
    "broker.values._list",
    "broker.values.hyperloglog._hyperloglog",
    "broker.values._positions",
    "broker.values._score_order",
    "broker.values.streams._entry",
    "broker.values.streams._ids",
    "broker.values.streams._node",
)
"""The compiled modules; next to each is a pure one that works without it."""

COMPILED: Final = "compiled"
PARTLY: Final = "partly compiled"
PURE: Final = "pure"


def build() -> str:
    """Returns COMPILED, PARTLY or PURE."""
    if os.environ.get("TRIMARAN_PURE") == "1":
        return PURE
    there = sum(find_spec(name) is not None for name in TWINS)
    return COMPILED if there == len(TWINS) else PARTLY if there else PURE
