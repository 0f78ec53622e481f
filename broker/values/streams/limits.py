"""The directives that streams obey. A stream holds the object that has them, so changes take effect immediately."""

from dataclasses import dataclass
from typing import Protocol


class StreamLimits(Protocol):
    """The directives that streams obey, part of a broker's configuration. For the sizes of nodes 0 means no limit."""

    @property
    def stream_node_max_bytes(self) -> int: ...
    @property
    def stream_node_max_entries(self) -> int: ...
    @property
    def stream_idmp_duration(self) -> int: ...
    @property
    def stream_idmp_maxsize(self) -> int: ...


@dataclass(slots=True)
class DefaultStreamLimits:
    """Redis's defaults: bytes, entries, seconds, entries per producer."""

    stream_node_max_bytes: int = 4096
    stream_node_max_entries: int = 100
    stream_idmp_duration: int = 100
    stream_idmp_maxsize: int = 100
