"""The audit log: who did what to keys, tenants, models and endpoints. Never a secret in it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.errors import MalformedMessage
from pipeline.protocol import Keyspace

log = logging.getLogger(__name__)

#: The newest so many lines are kept, roughly: some 2 MB.
AUDIT_LINES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One administrative act.

    *actor* is ``key:<id>`` over HTTP and ``gw:<user>`` on the command line, *tenant* the actor's,
    "" on the command line. *action* is a dotted name such as ``key.revoked``, *subject* what it was
    done to, by its id.
    """

    at_unix_ms: int
    actor: str
    tenant: str
    action: str
    subject: str

    def to_fields(self) -> dict[str, str]:
        """Give the stream entry's fields."""
        return {
            "at_unix_ms": str(self.at_unix_ms),
            "actor": self.actor,
            "tenant": self.tenant,
            "action": self.action,
            "subject": self.subject,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Parse an entry; raises MalformedMessage."""
        try:
            return cls(
                at_unix_ms=int(fields["at_unix_ms"]),
                actor=fields["actor"],
                tenant=fields["tenant"],
                action=fields["action"],
                subject=fields["subject"],
            )
        except (KeyError, ValueError) as exc:
            raise MalformedMessage(f"audit line: {exc!r}") from exc


class AuditLog:
    """Audit lines in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._stream = keys.audit
        self._note_act = load_script(redis, "note_act")

    async def note(self, line: AuditLine) -> None:
        """Log the act, then store its line: the log has it even where Redis does not answer."""
        log.info(
            "act.audited",
            extra={
                "actor": line.actor,
                "tenant": line.tenant,
                "action": line.action,
                "subject": line.subject,
            },
        )
        flat = [item for pair in line.to_fields().items() for item in pair]
        with redis_errors():
            await self._note_act(keys=[self._stream], args=[AUDIT_LINES_MAX, *flat])

    async def newest(self, count: int) -> list[AuditLine]:
        """Give the newest *count* lines, the newest first."""
        with redis_errors():
            rows = cast(
                list[tuple[str, dict[str, str]]],
                await self._redis.xrevrange(self._stream, count=count),
            )
        return [AuditLine.from_fields(fields) for _, fields in rows]
