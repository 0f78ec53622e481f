"""A worker queue for thumbnails: the jobs are CPU-bound work, done in threads.

    trimaran work thumbnails:queue --concurrency 4      # start as many of these as you like, on any machine
    python thumbnails.py cat.ppm dog.ppm                # enqueues, waits, prints the outcome

Pictures are in the PPM format (binary, "P6"), so this needs no image library.
"""

import os
import re
import sys
from pathlib import Path

import anyio

from consumers.jobs import JobError, Queue, Reject, current_job

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

queue = Queue("thumbnails")


@queue.job(retries=5, timeout=60, unique=True)
def thumbnail(path: Path, width: int) -> Path:
    """Write a copy of the picture that is about `width` pixels wide; returns its path. Running twice does no harm."""
    data = path.read_bytes()
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if header is None:
        raise Reject(f"{path.name} is not a PPM picture")  # trying again would not help
    columns, rows = map(int, header.groups())
    step, first = max(1, columns // width), header.end()
    small = bytearray()
    for y in range(0, rows - step + 1, step):
        anyio.from_thread.check_cancelled()  # a time-out or a shutdown ends the thread here
        for x in range(0, columns - step + 1, step):
            for colour in range(3):
                starts = [first + 3 * ((y + row) * columns + x) + colour for row in range(step)]
                small.append(sum(sum(data[start : start + 3 * step : 3]) for start in starts) // step**2)
    target = path.with_suffix(f".{width}.ppm")
    unfinished = target.with_suffix(f".{current_job().id}")
    unfinished.write_bytes(b"P6 %d %d 255\n" % (columns // step, rows // step) + small)
    return unfinished.replace(target)  # the whole picture or none


async def main() -> None:
    async with queue.open(URL):
        calls = [thumbnail.call(Path(path).resolve(), width=64) for path in sys.argv[1:]]
        for job in await queue.enqueue_many(calls):
            try:
                print("made", (await job.result(timeout=60)).name)
            except JobError as error:
                print("failed:", error)


if __name__ == "__main__":
    anyio.run(main)
