"""A line to a server that is slow, cuts what passes into pieces, and drops connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class BadLine:
    """Passes on between a port of its own and another one.

    Each piece waits up to *delay_s*, is cut where chance will, and drops its connection with the
    probability *drop*, half of it before and half after it was passed on: a request that comes
    through, and an answer that does not.
    """

    to_port: int
    delay_s: float
    drop: float
    chance: random.Random
    port: int = 0
    dropped: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BadLine]:
        """Pass on while the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
        self._open |= {writer, back}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, back))
                tasks.create_task(self._pass_on(there, writer))
        except* OSError:
            pass
        finally:
            self._open -= {writer, back}
            for each in (writer, back):
                each.transport.abort()
                with suppress(OSError):
                    await each.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(self.chance.randint(1, 4096)):
            await asyncio.sleep(self.chance.uniform(0, self.delay_s))
            luck = self.chance.random()
            if luck < self.drop / 2:
                self.dropped += 1
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
            if luck < self.drop:
                self.dropped += 1
                raise ConnectionResetError
        raise ConnectionResetError
