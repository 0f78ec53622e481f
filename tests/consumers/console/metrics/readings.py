"""A reading made by hand."""

from consumers.console.metrics.reading import Reading
from consumers.console.queues.library import Figures
from consumers.console.server import About
from consumers.console.streams import GroupFigures, StreamFigures

__all__ = ["ABOUT", "GROUP", "READING"]

ABOUT = About("Trimaran", "1.0", "standalone")
GROUP = GroupFigures(name=b'a"\\\n\xff', consumers=2, pending=5, lag=None, oldest=1.5, dead=4)
READING = Reading(
    time=1000.0, up=True, about=ABOUT,
    found={
        "run_id": "first", "uptime_in_seconds": "10", "connected_clients": "3", "used_memory": "123",
        "total_commands_processed": "1000000000000", "db0": "keys=5,expires=2", "dbx": "1",
    },
    streams=[StreamFigures(name=b"orders", entries=7, groups=[GROUP], left_out=2)],
    queues=[Figures(library="rq", name="default", waiting=3, dead=1, paused=True, oldest=2.5)],
)  # fmt: skip
