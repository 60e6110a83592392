"""Health: every service says at intervals that it lives, and whether it can work."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from redis.asyncio import Redis

from pipeline.clock import Clock, JumpWatch
from pipeline.connection import load_script, redis_errors
from pipeline.documents import from_document
from pipeline.errors import MalformedMessage, Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.protocol import Keyspace

log = logging.getLogger(__name__)

BEAT_INTERVAL_S = 2.0

#: A service that has missed this many beats counts as gone.
STALE_AFTER_MS = int(BEAT_INTERVAL_S * 1000 * 5)

#: A clock that moved by more between two beats was set; NTP's own steering stays far below.
_JUMP_MS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One sign of life. *reason* is empty when the service can work, else it says why not."""

    service: str
    instance: str
    pid: int
    started_unix_ms: int
    beat_unix_ms: int
    reason: str = ""

    def is_fresh(self, now_unix_ms: int) -> bool:
        """Whether the service still lives, as far as one can tell.

        A beat from the future is of before the clock was set back: who lives has beaten since.
        """
        return abs(now_unix_ms - self.beat_unix_ms) < STALE_AFTER_MS


class HealthBoard:
    """Heartbeats in Redis. Every method raises Unavailable while Redis is away.

    With a *file*, each beat goes there first, Redis or not: for a container's health check.
    """

    def __init__(self, redis: Redis, keys: Keyspace, *, file: str = "") -> None:
        self._redis = redis
        self._file = file
        self._hash = keys.health
        self._write_heartbeat = load_script(redis, "write_heartbeat")

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Write a sign of life over the one before."""
        name = f"{heartbeat.service}:{heartbeat.instance}"
        text = json.dumps(asdict(heartbeat))
        if self._file:
            _write_whole(Path(self._file), text)
        with redis_errors():
            await self._write_heartbeat(keys=[self._hash], args=[name, text])

    async def leave(self, service: str, instance: str) -> None:
        """Take the sign of life down: the service stopped in order."""
        with redis_errors():
            await self._redis.hdel(self._hash, f"{service}:{instance}")

    async def all(self) -> list[Heartbeat]:
        """List every sign of life, fresh or stale, by service and instance."""
        with redis_errors():
            texts = cast(dict[str, str], await self._redis.hgetall(self._hash))
        try:
            beats = [from_document(Heartbeat, json.loads(text)) for text in texts.values()]
        except (AttributeError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"heartbeat: {exc!r}") from exc
        return sorted(beats, key=lambda beat: (beat.service, beat.instance))


def _write_whole(path: Path, text: str) -> None:
    """Write a file that a reader sees old or new, never half."""
    part = path.with_suffix(".part")
    part.write_text(text, "utf-8")
    part.replace(path)


async def keep_beating(
    board: HealthBoard,
    clock: Clock,
    stop: asyncio.Event,
    *,
    service: str,
    instance: str,
    reason: Callable[[], str] = lambda: "",
) -> None:
    """Beat until *stop* is set, then leave. Redis being away is waited out.

    Told on the way: that the machine's clock was set.
    """
    started_unix_ms = clock.unix_ms()
    is_away = False
    watch = JumpWatch(clock)
    while True:
        jumped_ms = watch.jumped_ms()
        if abs(jumped_ms) > _JUMP_MS:
            log.warning("clock.jumped", extra={"by_s": round(jumped_ms / 1000, 1)})
        try:
            await board.beat(
                Heartbeat(
                    service=service,
                    instance=instance,
                    pid=os.getpid(),
                    started_unix_ms=started_unix_ms,
                    beat_unix_ms=clock.unix_ms(),
                    reason=reason(),
                )
            )
            is_away = False
        except Unavailable as exc:
            is_away = True
            log.warning("heartbeat.missed", extra={"reason": str(exc)})
        if await sleep_or_stop(stop, BEAT_INTERVAL_S):
            break
    if is_away:
        # Another try would only use up the grace period; the last beat goes stale by itself.
        return
    try:
        await board.leave(service, instance)
    except Unavailable as exc:
        log.warning("heartbeat.missed", extra={"reason": str(exc)})
