"""The first API key: made at the first start, kept in a file that only its owner can read."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path

from gw.data_folder import write_private
from gw.settings import DEFAULT_TENANT
from pipeline.access.keys import KeyStore, Scope, key_of_token, make_key


class FirstKey(StrEnum):
    """How the first key stands."""

    MADE = "made"
    KNOWN = "known"
    #: The file is there, but the platform does not know its key: revoked, or another data set.
    UNKNOWN = "unknown"


async def ensure_first_key(path: Path, keys: KeyStore) -> FirstKey:
    """Make and register a key unless *path* holds one already. A revoked key is not revived."""
    token = read_token(path)
    if token is not None:
        parts = key_of_token(token)
        known = parts is not None and await keys.get(parts[0]) is not None
        return FirstKey.KNOWN if known else FirstKey.UNKNOWN
    token, record = make_key(
        tenant=DEFAULT_TENANT,
        description="made at first start",
        now_unix_ms=time.time_ns() // 1_000_000,
        # Whoever can read this file owns the platform.
        scopes=tuple(Scope),
    )
    # In this order: a crash in between leaves a record nobody has the token of, and not a file
    # with a token that is never accepted.
    await keys.add(record)
    write_private(path, token + "\n")
    return FirstKey.MADE


def read_token(path: Path) -> str | None:
    """Read the token in *path*; None if there is no file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
