"""Asking the system for a name's addresses, so that one dead name server delays nobody else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from egress.ranges import IPAddress
from pipeline.errors import GwError


class ResolutionFailed(GwError):
    """The host's name has no answer, or none in time."""

    code = "name_not_resolved"


class Resolver(Protocol):
    """Gives all addresses of a name, in order of preference; raises ResolutionFailed."""

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """Resolve *host*; *port* only narrows the question."""
        ...


_Found = tuple[IPAddress, ...] | ResolutionFailed
_Lookup = asyncio.Future[_Found]


def ask_system(host: str, port: int) -> _Found:
    """Ask getaddrinfo, which may block for as long as the name servers are silent."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        return ResolutionFailed(f"the host's name was not resolved: {reason or 'not a name'}")
    # Twice the same address comes from two lines in the hosts file.
    return tuple(dict.fromkeys(ipaddress.ip_address(answer[4][0]) for answer in answers))


class SystemResolver:
    """The system's resolver, in threads of its own, with a time limit.

    The event loop's own pool has few threads (six on two cores, four with uvloop), getaddrinfo
    holds one for up to half a minute when a name server is silent, and a pool's threads are waited
    for at exit. So each lookup has a daemon thread, a name asked for again meanwhile shares its
    lookup, and past *max_lookups* at once a new name fails at once.
    """

    def __init__(
        self,
        *,
        time_limit_s: float = 5.0,
        max_lookups: int = 64,
        ask: Callable[[str, int], _Found] = ask_system,
    ) -> None:
        self._ask = ask
        self._time_limit_s = time_limit_s
        self._max_lookups = max_lookups
        self._lookups: dict[tuple[str, int], _Lookup] = {}

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """Resolve *host* within the time limit."""
        lookup = self._lookups.get((host, port)) or self._start(host, port)
        try:
            async with asyncio.timeout(self._time_limit_s):
                # Shielded: another exchange may wait for the same lookup.
                found = await asyncio.shield(lookup)
        except TimeoutError as exc:
            raise ResolutionFailed(
                f"the host's name was not resolved within {self._time_limit_s:g} s"
            ) from exc
        if isinstance(found, ResolutionFailed):
            # A fresh one for each waiter: a shared exception would gather everybody's traceback.
            raise ResolutionFailed(str(found)) from found
        return found

    def _start(self, host: str, port: int) -> _Lookup:
        if len(self._lookups) >= self._max_lookups:
            raise ResolutionFailed("too many names are being resolved")
        loop = asyncio.get_running_loop()
        lookup: _Lookup = loop.create_future()
        self._lookups[host, port] = lookup

        def finish(found: _Found) -> None:
            del self._lookups[host, port]
            lookup.set_result(found)

        def ask() -> None:
            found = self._ask(host, port)
            # The loop is closed when the process stops in the middle of a lookup.
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, found)

        threading.Thread(target=ask, name=f"resolve-{host}", daemon=True).start()
        return lookup
