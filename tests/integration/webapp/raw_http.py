"""HTTP by hand: for requests that no client library would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """One answer, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """Give the body as a problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


class Connection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def send_until_refused(self, piece: bytes, *, limit_bytes: int) -> int:
        """Send *piece* over and over until the server does not take it; give how many bytes."""
        sent_bytes = 0
        try:
            while sent_bytes < limit_bytes:
                await self.send(piece)
                sent_bytes += len(piece)
        except ConnectionError:
            pass
        return sent_bytes

    async def answer(self) -> RawAnswer:
        """Read one answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await self._reader.readexactly(int(headers["content-length"]))
        return RawAnswer(status=int(start.split(" ")[1]), headers=headers, body=body)

    async def interim_answer(self) -> bytes:
        """Read the start line of an answer that has nothing else."""
        return (await self._reader.readuntil(b"\r\n\r\n")).rstrip()

    async def is_closed(self) -> bool:
        """Wait for the server's end of the connection; False when it sends something first."""
        try:
            return await self._reader.read(1) == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def connected(port: int, *, timeout_s: float = 20) -> AsyncIterator[Connection]:
    """Open a connection; everything in the block together may take *timeout_s*."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(timeout_s):
            yield Connection(reader, writer)
    finally:
        writer.transport.abort()
