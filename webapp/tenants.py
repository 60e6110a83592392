"""The settings of the tenants that call, each believed for a moment."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.access.tenants import Tenant, TenantStore
from pipeline.clock import Clock

#: How long a change may take to count.
TTL_MS = 2000.0

_CACHED_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    tenant: Tenant
    until_ms: float


class Tenants:
    """Tells what is set for a tenant."""

    def __init__(self, store: TenantStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def get(self, name: str) -> Tenant:
        """Give a tenant's settings, the defaults where it has none. Raises Unavailable."""
        now_ms = self._clock.monotonic_ms()
        known = self._known.get(name)
        if known is not None and now_ms < known.until_ms:
            return known.tenant
        tenant = await self._store.get(name) or Tenant(tenant=name)
        if len(self._known) >= _CACHED_MAX:
            self._known.clear()
        self._known[name] = _Known(tenant=tenant, until_ms=now_ms + TTL_MS)
        return tenant
