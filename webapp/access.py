"""Who is calling: API keys as bearer tokens (RFC 6750)."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.access.keys import ApiKey, KeyStore, key_of_token, proves
from pipeline.clock import Clock
from pipeline.errors import AccessDenied

#: How long a key's record is believed: a revoked key works this much longer at most.
KEY_TTL_MS = 2000.0

#: Enough for every key of a busy box; past it the cache starts anew.
_CACHED_KEYS_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    record: ApiKey
    until_ms: float


def bearer_token(authorization: str) -> str:
    """Give the token of an Authorization header; raises AccessDenied."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise AccessDenied(
            "An API key is needed: send it as 'Authorization: Bearer gw_...'."
            if not authorization
            else "The Authorization header must read 'Bearer gw_...'."
        )
    return token.strip()


class Access:
    """Tells which tenant a request speaks for.

    Records of keys that exist are kept for KEY_TTL_MS; a token is proved against its record, in
    constant time, on every request. Unknown ids are never kept, so guessing fills nothing.
    """

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def tenant(self, authorization: str) -> str:
        """Give the tenant; raises AccessDenied, or Unavailable while Redis is away."""
        parts = key_of_token(bearer_token(authorization))
        if parts is None:
            raise _wrong_key()
        key_id, secret = parts
        record = await self._record(key_id)
        if record is None or not proves(record, secret):
            raise _wrong_key()
        return record.tenant

    async def _record(self, key_id: str) -> ApiKey | None:
        now_ms = self._clock.monotonic_ms()
        known = self._known.get(key_id)
        if known is not None and now_ms < known.until_ms:
            return known.record
        self._known.pop(key_id, None)
        record = await self._store.get(key_id)
        if record is not None:
            if len(self._known) >= _CACHED_KEYS_MAX:
                self._known.clear()
            self._known[key_id] = _Known(record=record, until_ms=now_ms + KEY_TTL_MS)
        return record


def _wrong_key() -> AccessDenied:
    # One sentence for every way of being wrong: which ids exist is nobody's business.
    return AccessDenied("This API key is not valid.")
