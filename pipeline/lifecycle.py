"""How a service lives: signals become one stop event, side tasks are named and watched.

If a side task dies the service stops: a worker that cannot renew its claims must not go on. The
supervisor above it (compose, systemd, ``gw up``) starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from pipeline import log as logs
from pipeline.errors import InvalidSettings
from pipeline.settings import ServiceSettings, load

log = logging.getLogger(__name__)

_EXIT_DIED = 1
_EXIT_REFUSED = 2
_EXIT_KILLED = 130


class HasServiceSettings(Protocol):
    """A service's settings: its own, and those that every service has."""

    @property
    def service(self) -> ServiceSettings:
        """Give what every service has."""
        ...


S = TypeVar("S", bound=HasServiceSettings)


def run_service(
    name: str, settings_type: type[S], serve: Callable[[S, asyncio.Event], Awaitable[None]]
) -> None:
    """Read the settings, set up logging, and run *serve* until SIGTERM or SIGINT.

    The first signal sets the stop event, upon which *serve* finishes or hands back. A second one
    exits at once: nothing is lost by it, since claimed work is taken over. The process exits with
    2 when the settings are refused and 1 when a task died.
    """
    logs.configure(name, level="info", style="text")
    try:
        settings = load(settings_type, os.environ)
        logs.configure(name, level=settings.service.log_level, style=settings.service.log_format)
        asyncio.run(
            _with_signals(lambda stop: serve(settings, stop), grace_s=settings.service.grace_s)
        )
    except* InvalidSettings as refused:
        for exc in refused.exceptions:
            log.error("service.refused", extra={"reason": str(exc)})
        sys.exit(_EXIT_REFUSED)
    except* Exception:
        log.exception("service.died")
        sys.exit(_EXIT_DIED)


async def _with_signals(
    main: Callable[[asyncio.Event], Awaitable[None]], *, grace_s: float
) -> None:
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(_EXIT_KILLED)
        log.info("service.stopping", extra={"signal": number.name})
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)

    running = asyncio.ensure_future(main(stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    done, _ = await asyncio.wait({running}, timeout=grace_s)
    if not done:
        # What is still claimed is found by the next life of this service, or taken over.
        log.warning("service.cut_short", extra={"grace_s": grace_s})
        running.cancel()
    await asyncio.gather(running, return_exceptions=not done)


async def sleep_or_stop(stop: asyncio.Event, delay_s: float) -> bool:
    """Wait *delay_s* seconds or until *stop* is set; tell whether it is set."""
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return False
    return True
