"""The server: uvicorn in our own event loop, under our own signals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import uvicorn

from pipeline.lifecycle import sleep_or_stop
from webapp.app import create_app
from webapp.http_protocol import BoundedHttpProtocol
from webapp.parts import Parts

log = logging.getLogger(__name__)

#: How long an idle connection is kept: longer than clients' pools usually keep theirs, so that it
#: is rarely us who closes under a request.
KEEP_ALIVE_S = 75

#: What is left of the grace period for everything but answering.
_CLOSING_S = 1.0

_STARTED_POLL_S = 0.01


class QuietServer(uvicorn.Server):
    """Uvicorn's server without its own signal handlers: pipeline.lifecycle has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    @property
    def port(self) -> int:
        """Give the port that it listens on, once started."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


def make_server(parts: Parts) -> QuietServer:
    """Make the server of *parts*."""
    settings = parts.settings
    config = uvicorn.Config(
        create_app(parts),
        host=settings.http_host,
        port=settings.http_port,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(0, int(settings.service.grace_s - _CLOSING_S)),
    )
    return QuietServer(config)


async def serve(parts: Parts, stop: asyncio.Event, *, server: QuietServer | None = None) -> None:
    """Serve until *stop* is set, then drain within the grace period.

    In order: readiness goes off and waiting requests are let go, the port is closed, what is being
    answered is finished, and only then the side tasks end.
    """
    server = server or make_server(parts)
    side_tasks_stop = asyncio.Event()
    try:
        await parts.monitor.look()
        async with asyncio.TaskGroup() as tasks:
            for name, side_task in parts.side_tasks().items():
                tasks.create_task(side_task(side_tasks_stop), name=name)
            tasks.create_task(_announce(server, stop), name="announce")
            serving = tasks.create_task(server.serve(), name="serve")
            await stop.wait()
            parts.stopping.set()
            parts.ends.release_all()
            server.should_exit = True
            await serving
            side_tasks_stop.set()
    finally:
        await parts.close()


async def _announce(server: QuietServer, stop: asyncio.Event) -> None:
    while not server.started:
        if await sleep_or_stop(stop, _STARTED_POLL_S):
            return
    log.info("http.listening", extra={"host": server.config.host, "port": server.port})
