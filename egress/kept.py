"""Connections kept open between exchanges, bounded in number, idle time and age."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpcore

from egress.stream import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLimits:
    """Bounds of what is kept.

    *idle_s* is below the five seconds after which uvicorn and Node close an idle connection.
    *age_s* bounds how long a connection may outlive a change of its name's addresses.
    """

    count: int = 64
    idle_s: float = 4.0
    age_s: float = 60.0


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """One connection and its HTTP/1.1 state. Times are those of the event loop."""

    http: httpcore.AsyncHTTP11Connection
    stream: Stream
    key: tuple[bytes, bytes, int]
    dialled_at_s: float
    idle_since_s: float = 0.0


class KeptConnections:
    """Idle connections by scheme, host and port; the last one put is the first one taken."""

    def __init__(self, limits: KeepLimits) -> None:
        self._limits = limits
        self._idle: dict[tuple[bytes, bytes, int], list[Connection]] = {}
        self._count = 0
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    def take(self, key: tuple[bytes, bytes, int], now_s: float) -> Connection | None:
        """Take a connection that is still good, or None."""
        idle = self._idle.get(key)
        while idle:
            connection = idle.pop()
            self._count -= 1
            if self._is_good(connection, now_s):
                return connection
            connection.stream.abort()
        return None

    def put(self, connection: Connection, now_s: float) -> None:
        """Keep *connection* if it can serve again and there is room; else drop it."""
        connection.idle_since_s = now_s
        if (
            self._is_closed
            or self._count >= self._limits.count
            or not connection.http.is_idle()
            or not self._is_good(connection, now_s)
        ):
            connection.stream.abort()
            return
        self._idle.setdefault(connection.key, []).append(connection)
        self._count += 1
        if self._sweep is None:
            self._schedule_sweep()

    def close(self) -> None:
        """Drop all, and whatever is put from now on."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for idle in self._idle.values():
            for connection in idle:
                connection.stream.abort()
        self._idle.clear()
        self._count = 0

    def _is_good(self, connection: Connection, now_s: float) -> bool:
        return (
            not connection.stream.is_readable()
            and now_s - connection.idle_since_s < self._limits.idle_s
            and now_s - connection.dialled_at_s < self._limits.age_s
        )

    def _schedule_sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweep = loop.call_later(self._limits.idle_s, self._drop_old, loop)

    def _drop_old(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drop what nobody came back for, so that a subscriber's socket is not held for ever."""
        now_s = loop.time()
        for key, idle in list(self._idle.items()):
            good = [connection for connection in idle if self._is_good(connection, now_s)]
            for connection in idle:
                if connection not in good:
                    connection.stream.abort()
            self._count -= len(idle) - len(good)
            if good:
                self._idle[key] = good
            else:
                del self._idle[key]
        self._sweep = None
        if self._idle:
            self._schedule_sweep()
