"""Administrative acts on the command line, noted with the user that did them."""

from __future__ import annotations

import getpass
import time

from redis.asyncio import Redis

from pipeline.access.audit import AuditLine, AuditLog
from pipeline.protocol import Keyspace


async def note_act(redis: Redis, keys: Keyspace, action: str, subject: str) -> None:
    """Note that this user has done *action* (``key.revoked``) to *subject*, an id or a name."""
    await AuditLog(redis, keys).note(
        AuditLine(
            at_unix_ms=time.time_ns() // 1_000_000,
            actor=f"gw:{_user()}",
            tenant="",
            action=action,
            subject=subject,
        )
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        return "?"
