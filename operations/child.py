"""The worker as a child process: started again when it ends, stopped with the service."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import sys
from contextlib import suppress
from typing import Final

from pipeline.lifecycle import sleep_or_stop

log = logging.getLogger(__name__)

_RESTART_PAUSE_S: Final = 1.0


class WorkerChild:
    """The worker process of one queue. *prefix* begins the name of every worker it ever has."""

    def __init__(self, queue: str, *, instance: str) -> None:
        self._queue = queue
        self.prefix = f"{queue}.{instance}."
        self.name = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Keep a worker running until *stop* is set; then let it finish or hand back.

        When this is cancelled, the worker and its operation are killed.
        """
        while not stop.is_set():
            # A new name for every life: what an earlier one held is known to be nobody's.
            self.name = f"{self.prefix}{secrets.token_hex(4)}"
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "operations.worker", self._queue, self.name),
                # A signal to the service's group must not reach it twice: RQ takes the second one
                # for an order to drop everything.
                start_new_session=True,
            )
            log.info("worker.started", extra={"worker": self.name, "worker_pid": process.pid})
            try:
                await self._until_ended(process, stop)
            finally:
                if process.returncode is None:
                    # Its operation dies with it.
                    process.kill()
                    await process.wait()
            if not stop.is_set():
                log.warning(
                    "worker.ended", extra={"worker": self.name, "status": process.returncode}
                )
                await sleep_or_stop(stop, _RESTART_PAUSE_S)

    async def _until_ended(self, process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
        ended = asyncio.ensure_future(process.wait())
        told = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            await ended
        finally:
            ended.cancel()
            told.cancel()
