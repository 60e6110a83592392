"""Administrative acts over HTTP, noted with the key that did them."""

from __future__ import annotations

from pipeline.access.audit import AuditLine, AuditLog
from pipeline.clock import Clock
from webapp.access import Caller


class Audit:
    """Notes what callers do to keys, tenants, models and endpoints."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    async def note(self, caller: Caller, action: str, subject: str) -> None:
        """Note that *caller* did *action* (``endpoint.removed``) to *subject*, an id or a name.

        Raises Unavailable when the act could be logged only, not stored.
        """
        await self._log.note(
            AuditLine(
                at_unix_ms=self._clock.unix_ms(),
                actor=f"key:{caller.key_id}",
                tenant=caller.tenant,
                action=action,
                subject=subject,
            )
        )

    async def newest(self, count: int) -> list[AuditLine]:
        """Give the newest *count* lines, the newest first."""
        return await self._log.newest(count)
