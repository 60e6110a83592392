"""A real HTTP/1.1 server on loopback that behaves as a subscriber might, well or badly.

The first segment of a request's path names the behaviour (``receiver.url("drip")``), unless
``receiver.script`` holds names, which are used up first, one for each request::

    async with WebhookReceiver() as receiver:
        receiver.script.extend(["500", "reset", "204"])
        ...
        assert [request.path for request in receiver.requests] == ["/200", "/200", "/200"]
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Self, cast

from standardwebhooks.webhooks import Webhook

BOMB_BYTES = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came, header names in lower case.

    *is_verified* is what the reference library says of the signature, None where the receiver has
    no secret. *connection* numbers the receiver's connections from 1.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    is_verified: bool | None
    connection: int


Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    """Make a behaviour that answers with *status* and keeps the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Answer", *headers]
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()

    return answer


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send the header, then a byte now and then, so that no single read waits long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _drip_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while True:
        writer.write(chunk)
        await writer.drain()


async def _gzip_bomb(writer: asyncio.StreamWriter) -> None:
    bomb = gzip.compress(bytes(BOMB_BYTES), compresslevel=1)
    await answering(200, "Content-Encoding: gzip", body=bomb)(writer)


async def _huge_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 1_000_000 + b"\r\n\r\n")
    await writer.drain()


async def _garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def _reset(writer: asyncio.StreamWriter) -> None:
    """Break off in the middle of the body with a reset rather than an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
    await writer.drain()
    await asyncio.sleep(0.05)  # the part is to arrive before the reset discards it
    reset_now(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _close_after(writer: asyncio.StreamWriter) -> None:
    await answering(200, body=b"bye")(writer)
    writer.close()


async def _until_close(writer: asyncio.StreamWriter) -> None:
    """Answer as HTTP/1.0 does: the body ends with the connection."""
    writer.write(b"HTTP/1.0 200 OK\r\n\r\nold ways")
    writer.close()


def reset_now(writer: asyncio.StreamWriter) -> None:
    """Send RST: with a linger time of zero the kernel does not end the connection politely."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    cast(asyncio.Transport, writer.transport).abort()


BEHAVIOURS: dict[str, Behaviour] = {
    "200": answering(200, "Content-Type: text/plain", body=b"thank you"),
    "204": answering(204),
    "301": answering(301, "Location: http://169.254.169.254/latest/meta-data/"),
    "401": answering(401),
    "410": answering(410),
    "429": answering(429, "Retry-After: 120"),
    "500": answering(500, body=b"oops"),
    "gzip-bomb": _gzip_bomb,
    "hang": _hang,
    "drip": _drip,
    "drip-header": _drip_header,
    "endless": _endless,
    "huge-header": _huge_header,
    "garbage": _garbage,
    "reset": _reset,
    "close": _close,
    "close-after": _close_after,
    "until-close": _until_close,
}


class WebhookReceiver:
    """The server; *secret* (``whsec_``) makes it answer 401 to what is not signed with it."""

    def __init__(self, *, secret: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.script: deque[str] = deque()
        self.behaviours = dict(BEHAVIOURS)
        self.connections = 0
        self._verifier = Webhook(secret) if secret is not None else None
        self._tls = tls
        self._arrived = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        # A connection accepted just now has its task in three turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)
        for writer in self._writers:
            cast(asyncio.Transport, writer.transport).abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, behaviour: str = "200", *, host: str = "127.0.0.1") -> str:
        """Give the URL under which the receiver behaves like *behaviour*."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{host}:{self.port}/{behaviour}"

    async def wait_for_silence(self, *, timeout_s: float = 10.0) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(timeout_s):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def wait_for(self, count: int, *, timeout_s: float = 10.0) -> list[Received]:
        """Wait until *count* requests have come, and give all that have."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.requests) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError as exc:
            got = len(self.requests)
            raise AssertionError(f"{got} of {count} requests came in {timeout_s} s") from exc
        return self.requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                request = await self._read(reader, number)
                self.requests.append(request)
                self._arrived.set()
                await self._behave(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender has gone, or the test is over
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Received:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = start.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(
            method=method,
            path=path,
            headers=headers,
            body=body,
            is_verified=self._verify(headers, body),
            connection=number,
        )

    def _verify(self, headers: dict[str, str], body: bytes) -> bool | None:
        if self._verifier is None:
            return None
        try:
            self._verifier.verify(body, headers, json_parse=False)
        except Exception:  # the library lets ValueError and others out, see its own tests
            return False
        return True

    async def _behave(self, request: Received, writer: asyncio.StreamWriter) -> None:
        name = self.script.popleft() if self.script else request.path[1:].split("/")[0]
        if request.is_verified is False:
            name = "401"
        await self.behaviours[name.partition("?")[0]](writer)
