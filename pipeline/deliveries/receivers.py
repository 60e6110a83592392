"""What is known of receivers: how they answered lately, whether they are called at all, their pace.

A receiver is an endpoint, or the place that a job's own URL leads to. Its health is shared: a
restarted notifier, or a second one, goes on with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.errors import MalformedMessage
from pipeline.protocol import DeliveryDue, Keyspace

#: The health of a place that is no endpoint is forgotten after so long without a change.
_FORGOTTEN_MS = 30 * 24 * 3600 * 1000

#: No backlog waits so long for the next look: pauses between probes are of minutes.
_AHEAD_MAX_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a receiver does. All moments are Unix ms, 0 for none; *revision* counts the changes.

    *failures* are those since the last success, *failing_since* is the first of them. While
    *open_until* is set nothing is sent but one probe at a time after that moment: *probe_until* is
    when the probe that is under way counts as lost. *openings* is how often that was prolonged.
    *recovered* is when it last answered after such a time; until *catching_up_until* what waited is
    let go at a growing rate.
    *warned* is the *failing_since* of which its tenant was told. *disabled_reason* says why it is
    not called any more.
    """

    revision: int = 0
    failures: int = 0
    failing_since: int = 0
    open_until: int = 0
    openings: int = 0
    probe_until: int = 0
    recovered: int = 0
    catching_up_until: int = 0
    warned: int = 0
    disabled: int = 0
    disabled_reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether only probes are sent."""
        return self.open_until > 0

    def to_fields(self) -> dict[str, str]:
        """Give the hash fields but for the revision, which the store counts."""
        names = [each.name for each in fields(self) if each.name != "revision"]
        return {name: str(getattr(self, name)) for name in names}

    @classmethod
    def from_fields(cls, record: Mapping[str, str]) -> Health:
        """Parse a record; what is missing has its default. Raises MalformedMessage."""
        try:
            known = {each.name for each in fields(cls)} - {"disabled_reason"}
            numbers = {name: int(value) for name, value in record.items() if name in known}
        except ValueError as exc:
            raise MalformedMessage(f"receiver record: {exc!r}") from exc
        return cls(**numbers, disabled_reason=record.get("disabled_reason", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """How many may go now, and in how many milliseconds the next one may."""

    granted: int
    wait_ms: int


class ReceiverStore:
    """Receivers in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._keys = keys
        self._write_receiver = load_script(redis, "write_receiver")
        self._take_turns = load_script(redis, "take_turns")
        self._release_backlog = load_script(redis, "release_backlog")

    async def get_many(self, receivers: Sequence[str]) -> list[Health]:
        """Give what is known of each, in one round trip."""
        if not receivers:
            return []
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for receiver in receivers:
                    pipe.hgetall(self._keys.receiver(receiver))
                records = await pipe.execute()
        return [Health.from_fields(record) for record in records]

    async def write(self, receiver: str, health: Health, *, read: Health) -> bool:
        """Replace *read* by *health*; False when somebody has changed it meanwhile.

        What is known of an endpoint (``ep_``) is kept as long as the endpoint.
        """
        flat = [item for pair in health.to_fields().items() for item in pair]
        with redis_errors():
            written = await self._write_receiver(
                keys=[self._keys.receiver(receiver)],
                args=[
                    read.revision or "",
                    0 if receiver.startswith("ep_") else _FORGOTTEN_MS,
                    *flat,
                ],
            )
        return bool(written)

    async def take_turns(
        self, receiver: str, *, rate_per_s: float, wanted: int, now_unix_ms: int
    ) -> Turns:
        """Take up to *wanted* turns at *rate_per_s*; a second's worth may come at once."""
        each_ms = 1000.0 / rate_per_s
        with redis_errors():
            granted, wait_ms = await self._take_turns(
                keys=[self._keys.pace(receiver)],
                args=[now_unix_ms, each_ms, max(1, int(rate_per_s)), wanted],
            )
        return Turns(granted=int(granted), wait_ms=int(wait_ms))

    async def due_backlogs(self, *, now_unix_ms: int, limit: int) -> list[str]:
        """List receivers whose backlog may be looked at now, the longest due first."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.zrangebyscore(self._keys.backlogs, "-inf", now_unix_ms, start=0, num=limit)
                # Put there before the clock was set back.
                late_unix_ms = now_unix_ms + _AHEAD_MAX_MS
                pipe.zrangebyscore(self._keys.backlogs, late_unix_ms, "+inf", start=0, num=limit)
                punctual, late = await pipe.execute()
        return cast(list[str], [*punctual, *late][:limit])

    async def release_backlog(
        self, receiver: str, *, count: int, now_unix_ms: int, next_unix_ms: int
    ) -> int:
        """Release the first *count* of a backlog; the rest is looked at again at *next_unix_ms*.

        Gives how many were released, -1 when another notifier was first or nothing is left.
        """
        with redis_errors():
            released = await self._release_backlog(
                keys=[self._keys.backlogs, self._keys.backlog(receiver), self._keys.retries],
                args=[
                    receiver,
                    count,
                    DeliveryDue.KIND,
                    now_unix_ms,
                    next_unix_ms,
                    now_unix_ms + _AHEAD_MAX_MS,
                ],
            )
        return int(released)

    async def backlog_sizes(self, receivers: Sequence[str]) -> list[int]:
        """Give how many deliveries wait until each receiver is fit for them."""
        if not receivers:
            return []
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for receiver in receivers:
                    pipe.zcard(self._keys.backlog(receiver))
                return [int(size) for size in await pipe.execute()]
