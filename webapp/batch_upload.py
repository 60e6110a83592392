"""A batch's source onto the disk as it arrives: never more in memory than a piece of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from starlette.types import Receive

from pipeline.errors import Unavailable
from webapp.body import BodyLimits, in_time, pieces_of

#: Pieces are gathered to this before a thread writes them.
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A body that arrived whole."""

    size_bytes: int
    sha256: str


async def receive_file(
    receive: Receive, file: IO[bytes] | None, limits: BodyLimits, *, check_disk: Callable[[], None]
) -> Received:
    """Write the body into *file*, if there is one; *check_disk* is asked before every piece.

    Raises BodyTooLarge, UploadTimedOut, ClientDisconnect, and Unavailable when the disk refuses.
    """
    size_bytes = 0
    digest = hashlib.sha256()
    gathered = bytearray()

    def take(data: bytes) -> None:
        digest.update(data)
        if file is not None:
            file.write(data)

    async def empty() -> None:
        check_disk()
        await asyncio.to_thread(take, bytes(gathered))
        gathered.clear()

    try:
        async with in_time(limits):
            async for piece in pieces_of(receive, limits):
                size_bytes += len(piece)
                gathered += piece
                if len(gathered) >= _PIECE_BYTES:
                    await empty()
            await empty()
    except OSError as exc:
        raise Unavailable(f"the batch cannot be stored: {exc.strerror}", retry_after_s=30) from exc
    return Received(size_bytes=size_bytes, sha256=digest.hexdigest())
