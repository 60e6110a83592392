"""Who is calling: API keys as bearer tokens (RFC 6750)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pipeline.access.keys import ApiKey, KeyStore, Scope, has_expired, key_of_token, proves
from pipeline.clock import Clock
from pipeline.errors import AccessDenied, Unavailable
from pipeline.jobs.job import Job
from webapp.refusals import MissingScope

#: How long a key's record is believed: a revoked key works this much longer at most.
KEY_TTL_MS = 2000.0

#: How coarse the time is at which a key was last used.
USED_STEP_MS = 10 * 60 * 1000

#: Enough for every key of a busy box; past it the cache starts anew.
_CACHED_KEYS_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who a request speaks for: its key's tenant, the key, what it may do, and its own model."""

    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    default_model: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether the key has *scope*; whoever may read all jobs may read its own."""
        return scope in self.scopes or (scope is Scope.READ_OWN and Scope.READ_ALL in self.scopes)

    def sees(self, job: Job) -> bool:
        """Whether *job* is one that this caller may read: its tenant's, or only its key's own."""
        if job.tenant != self.tenant:
            return False
        return Scope.READ_ALL in self.scopes or (
            Scope.READ_OWN in self.scopes and job.key_id == self.key_id
        )


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
    """Tells who a request speaks for.

    Records of keys that exist are kept for KEY_TTL_MS; a token is proved against its record, in
    constant time, on every request. Unknown ids are never kept, so guessing fills nothing.
    """

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._noted_unix_ms: dict[str, int] = {}

    async def caller(self, authorization: str, scope: Scope | None = None) -> Caller:
        """Tell who calls; any valid key will do where *scope* is None.

        Raises AccessDenied, MissingScope for a key without *scope*, or Unavailable while Redis is
        away.
        """
        parts = key_of_token(bearer_token(authorization))
        if parts is None:
            raise _wrong_key()
        key_id, secret = parts
        record = await self._record(key_id)
        now_unix_ms = self._clock.unix_ms()
        if record is None or not proves(record, secret, now_unix_ms=now_unix_ms):
            raise _wrong_key()
        if has_expired(record, now_unix_ms=now_unix_ms):
            raise AccessDenied("This API key has expired.")
        await self._note_used(key_id, now_unix_ms)
        caller = Caller(
            tenant=record.tenant,
            key_id=key_id,
            scopes=record.known_scopes,
            default_model=record.default_model,
        )
        if scope is not None and not caller.may(scope):
            raise MissingScope(scope)
        return caller

    def forget(self, key_id: str) -> None:
        """Look a key up anew: it was changed here."""
        self._known.pop(key_id, None)

    async def _note_used(self, key_id: str, now_unix_ms: int) -> None:
        """Note the use, seldom: an operator wants to know the day, and Redis syncs every write."""
        noted_unix_ms = self._noted_unix_ms.get(key_id)
        if noted_unix_ms is not None and now_unix_ms - noted_unix_ms < USED_STEP_MS:
            return
        if len(self._noted_unix_ms) >= _CACHED_KEYS_MAX:
            self._noted_unix_ms.clear()
        self._noted_unix_ms[key_id] = now_unix_ms
        # Not tried again at once: no request is to wait for a store that does not answer.
        with suppress(Unavailable):
            await self._store.note_used(key_id, now_unix_ms)

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
