"""The metrics pushed to a collector of OpenTelemetry, for as long as the console runs.

The exporter blocks, so it runs on a thread. The next push begins after the one before has ended, and reads what there
is then: nothing piles up while the collector is slow or away. A push costs the server what a scrape of /metrics costs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread
from coredis.exceptions import RedisError
from opentelemetry.sdk.resources import Resource

from consumers.console.metrics.otlp import Exporter, Start, instance_of, metrics_data, resource_of
from consumers.console.metrics.reading import WAIT, Reading, read
from consumers.console.metrics.settings import Settings
from consumers.console.server import About
from consumers.console.viewpoint import Viewpoint
from consumers.task_groups import open_plain_task_group

__all__ = ["pushing"]

LAST_READ_SECONDS = 1.0
LAST_SECONDS = 3.0
"""How long the last push may hold up the end, and its reading: less than a broker waits for its console."""

logger = logging.getLogger("consumers.console")


@asynccontextmanager
async def pushing(settings: Settings, viewpoint: Viewpoint, place: str) -> AsyncIterator[None]:
    """Push what this viewpoint shows during the block, and once more at its end. place: the server's URL as shown."""
    # it logs each attempt, while one line is enough
    logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter").setLevel(logging.CRITICAL)
    push = _Push(settings, viewpoint, place)
    endpoint = settings.redacted(settings.endpoint)
    logger.info("metrics are pushed to %s every %g seconds", endpoint, settings.interval)
    try:
        async with open_plain_task_group() as tasks:
            tasks.start_soon(push.run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
    finally:
        try:
            with anyio.move_on_after(LAST_SECONDS, shield=True):
                await push.last()
        finally:
            push.close()


class _Push:
    def __init__(self, settings: Settings, viewpoint: Viewpoint, place: str) -> None:
        self._settings = settings
        self._viewpoint = viewpoint
        self._instance = instance_of(place)
        self._about: About | None = None
        self._resource = resource_of(None, self._instance)
        self._start = Start()
        self._exporter = Exporter(settings.endpoint)
        self._exporting = threading.Lock()
        self._reading = _Condition("the server's figures can't be read", "the server's figures are read again")
        endpoint = settings.redacted(settings.endpoint)
        self._sending = _Condition(f"metrics can't be pushed to {endpoint}", f"metrics are pushed to {endpoint} again")

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            begun = anyio.current_time()
            reading = await self._read(WAIT)
            self._reading.note(reading.trouble)
            await self._push(reading)
            await anyio.sleep(max(0.0, begun + self._settings.interval - anyio.current_time()))

    async def last(self) -> None:
        """Push once, and no longer wait for the server."""
        reading = Reading(up=False)
        with anyio.move_on_after(LAST_READ_SECONDS):
            reading = await self._read(LAST_READ_SECONDS / 4)
        await self._push(reading)

    def close(self) -> None:
        self._exporter.close()

    async def _read(self, wait: float) -> Reading:
        try:
            return await read(self._viewpoint, wait)
        except RedisError as error:
            return Reading(up=True, trouble=str(error))
        except Exception as error:
            # a fault in one reader is no reason for the console to end
            logger.error("reading the metrics has failed", exc_info=error)
            return Reading(up=True, trouble=str(error) or type(error).__name__)

    async def _push(self, reading: Reading) -> None:
        if reading.about not in (None, self._about):
            self._about = reading.about
            self._resource = resource_of(reading.about, self._instance)
        start = self._start.of(reading) if reading.found else 0.0
        failure = f"no answer within {self._settings.timeout:g} seconds"
        with anyio.move_on_after(self._settings.timeout):
            failure = await to_thread.run_sync(self._export, reading, self._resource, start, abandon_on_cancel=True)
        self._sending.note(self._settings.redacted(failure))

    def _export(self, reading: Reading, resource: Resource, start: float) -> str:
        """Export a reading on this thread. Returns why that has failed, or ""."""
        # one that was abandoned may still go on
        if not self._exporting.acquire(timeout=self._settings.timeout):
            return "the push before has not ended"
        try:
            return self._exporter.export(metrics_data(reading, resource, start))
        except Exception as error:
            # a fault of the exporter is no reason for the console to end
            return str(error) or type(error).__name__
        finally:
            self._exporting.release()


class _Condition:
    """Logs when something begins to fail, and when it works again."""

    def __init__(self, failing: str, working: str) -> None:
        self._texts = failing, working
        self._fails = False

    def note(self, failure: str) -> None:
        """Note why it has failed, "" if it has not."""
        if failure and not self._fails:
            logger.warning("%s: %s", self._texts[0], failure)
        elif self._fails and not failure:
            logger.info(self._texts[1])
        self._fails = bool(failure)
