"""The directives that streams obey. A stream holds the object that has them, so that a change counts at once."""

from dataclasses import dataclass
from typing import Protocol


class StreamLimits(Protocol):
    """The directives streams obey; a broker's configuration has them. 0 is no limit for the sizes of nodes."""

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
    """Redis's defaults: bytes, entries, seconds, entries a producer."""

    stream_node_max_bytes: int = 4096
    stream_node_max_entries: int = 100
    stream_idmp_duration: int = 100
    stream_idmp_maxsize: int = 100
