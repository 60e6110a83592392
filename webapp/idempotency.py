"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): what makes a request the same.

The key is the caller's; the fingerprint is ours, taken of what the request asks for and not of its
bytes: a form repeated with another boundary is the same request. What a request was answered with
is promised atomically with its jobs (see ``pipeline/jobs/promises.py``); an answer that accepted
nothing binds nothing, so a refused request may be mended and sent under the same key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pipeline.jobs.promises import Once
from webapp.refusals import InvalidField, KeyReused, RequestInFlight
from webapp.uploads import Upload

HEADER = "Idempotency-Key"

KEY_MAX_CHARACTERS = 255

#: RFC 8941, 3.3.3: a string. What many clients send instead is taken too: the key without quotes.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-+\--:<-\[\]-~]+")

#: Below this, hashing is quicker than asking a thread.
_INLINE_MAX_BYTES = 256 * 1024


def parse_key(text: str) -> str:
    """Give the key of a header's value; raises InvalidField."""
    text = text.strip()
    quoted = _QUOTED.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not (quoted or _BARE.fullmatch(text)) or not 1 <= len(key) <= KEY_MAX_CHARACTERS:
        raise InvalidField(
            f"The key must be a string of 1 to {KEY_MAX_CHARACTERS} printable ASCII characters in"
            ' double quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324".',
            field=HEADER,
        )
    return key


async def fingerprint_of(upload: Upload) -> str:
    """Give the digest of all that *upload* asks for."""
    if sum(map(len, upload.pictures)) <= _INLINE_MAX_BYTES:
        return _fingerprint(upload)
    return await asyncio.to_thread(_fingerprint, upload)


def _fingerprint(upload: Upload) -> str:
    pictures = [hashlib.sha256(picture).hexdigest() for picture in upload.pictures]
    # As ASCII: half a surrogate pair, which JSON text can hold, has no bytes otherwise.
    wanted = json.dumps([upload.fields, upload.picture_url, pictures], sort_keys=True)
    return hashlib.sha256(wanted.encode()).hexdigest()


def batch_fingerprint(kind: str, fields: Mapping[str, Any], source_sha256: str = "") -> str:
    """Give the digest of all that a batch asks for; without its source while that is not there."""
    wanted = json.dumps(["batch", kind, fields, source_sha256], sort_keys=True)
    return hashlib.sha256(wanted.encode()).hexdigest()


class InFlight:
    """The keyed requests that this process is working on."""

    def __init__(self) -> None:
        self._fingerprints: dict[tuple[str, str], str] = {}

    @contextmanager
    def hold(self, tenant: str, once: Once) -> Iterator[None]:
        """Work on a request; raises RequestInFlight or KeyReused while another has its key."""
        name = (tenant, once.key_sha256)
        if name in self._fingerprints:
            if self._fingerprints[name] != once.fingerprint:
                raise KeyReused
            raise RequestInFlight
        self._fingerprints[name] = once.fingerprint
        try:
            yield
        finally:
            del self._fingerprints[name]
