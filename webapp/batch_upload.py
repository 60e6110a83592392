"""A batch's source onto the disk as it arrives: never more in memory than a piece of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from pipeline.errors import Unavailable
from webapp.body import BodyLimits
from webapp.refusals import BodyTooLarge, UploadTimedOut

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
    piece = bytearray()
    more = True

    def take(data: bytes) -> None:
        digest.update(data)
        if file is not None:
            file.write(data)

    try:
        async with asyncio.timeout(limits.timeout_s):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                size_bytes += len(chunk)
                if size_bytes > limits.max_bytes:
                    raise BodyTooLarge(limits.max_bytes)
                piece += chunk
                if len(piece) >= _PIECE_BYTES or not more:
                    check_disk()
                    await asyncio.to_thread(take, bytes(piece))
                    piece.clear()
    except TimeoutError as exc:
        raise UploadTimedOut(limits.timeout_s) from exc
    except OSError as exc:
        raise Unavailable(f"the batch cannot be stored: {exc.strerror}", retry_after_s=30) from exc
    return Received(size_bytes=size_bytes, sha256=digest.hexdigest())
