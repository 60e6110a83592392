"""A TCP or TLS connection to one address, as the byte stream that httpcore's HTTP/1.1 reads.

Straight on the event loop's transports: AnyIO's streams, which httpcore would use, cost another
0.1 ms per exchange.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

import httpcore

from egress.ranges import IPAddress
from egress.targets import Target

# Above it the peer is not read from until we have consumed: an endless body takes no memory.
_HIGH_WATER_BYTES = 256 * 1024


class TlsFailed(httpcore.ConnectError):
    """The peer's certificate or handshake is not acceptable."""


class Stream(httpcore.AsyncNetworkStream):
    """What a dialler gives.

    *heard_bytes* counts what came, *is_lost* tells that no more will, *end_was_read* that the
    reader has been told so.
    """

    heard_bytes: int = 0
    is_lost: bool = False
    end_was_read: bool = False

    def is_readable(self) -> bool:
        """Whether bytes or the end of the stream wait to be read; unwelcome between exchanges."""
        raise NotImplementedError

    async def begin_tls(self, tls: ssl.SSLContext, server_hostname: str) -> None:
        """Speak TLS from now on; raises ssl.SSLError or httpcore.ReadError."""
        raise NotImplementedError

    def abort(self) -> None:
        """Drop the connection at once: a graceful end would wait for a peer that may be dead."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Do as :meth:`abort`."""
        self.abort()


class Dialler(Protocol):
    """Connects to one judged address of *target*; never resolves a name."""

    async def __call__(
        self, address: IPAddress, target: Target, tls: ssl.SSLContext, *, time_limit_s: float
    ) -> Stream:
        """Connect; raises httpcore.ConnectError, httpcore.ConnectTimeout or TlsFailed."""
        ...


async def dial(
    address: IPAddress, target: Target, tls: ssl.SSLContext, *, time_limit_s: float
) -> Stream:
    """Connect to *address*; for https the target's name is the one asked for and verified."""
    is_tls = target.scheme == "https"
    try:
        async with asyncio.timeout(time_limit_s):
            _, stream = await asyncio.get_running_loop().create_connection(
                _SocketStream,
                str(address),
                target.port,
                ssl=tls if is_tls else None,
                server_hostname=target.host if is_tls else None,
            )
    except TimeoutError as exc:
        raise httpcore.ConnectTimeout("no connection in time") from exc
    except ssl.SSLError as exc:
        raise TlsFailed(tls_reason(exc)) from exc
    except OSError as exc:
        raise httpcore.ConnectError(exc.strerror or "the connection failed") from exc
    return stream


async def open_stream(host: str, port: int) -> Stream:
    """Connect without TLS; raises OSError."""
    _, stream = await asyncio.get_running_loop().create_connection(_SocketStream, host, port)
    return stream


def tls_reason(exc: ssl.SSLError) -> str:
    """Give what was wrong with a handshake, without what the peer said."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"the certificate is not acceptable: {exc.verify_message}"
    return f"the TLS handshake failed: {exc.reason or 'unknown'}"


class _SocketStream(asyncio.Protocol, Stream):
    """One connection. At most one task reads and one writes at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.heard_bytes += len(data)
        self._buffer += data
        if len(self._buffer) > _HIGH_WATER_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        _wake(self._arrived)

    def eof_received(self) -> bool:
        self.is_lost = True
        _wake(self._arrived)
        return False  # the transport closes itself: nothing is left in CLOSE_WAIT

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._error = self._error or exc
        _wake(self._arrived)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        _wake(self._drained)
        self._drained = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Give what came, at most *max_bytes*; b"" at the end. *timeout* in seconds."""
        if not self._buffer and not self.is_lost:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                with _timeout_as(httpcore.ReadTimeout):
                    async with asyncio.timeout(timeout):
                        await self._arrived
            finally:
                self._arrived = None
        if not self._buffer:
            self.end_was_read = True
            if self._error is not None:
                raise httpcore.ReadError("the connection was reset") from self._error

        data = bytes(self._buffer[:max_bytes])
        del self._buffer[:max_bytes]
        if self._is_paused and not self._buffer and not self.is_lost:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send *buffer*, waiting while the peer does not take what was sent before."""
        if self.is_lost:
            raise httpcore.WriteError("the connection is closed")
        self._transport.write(buffer)
        if self._drained is not None:
            with _timeout_as(httpcore.WriteTimeout):
                async with asyncio.timeout(timeout):
                    await self._drained

    async def begin_tls(self, tls: ssl.SSLContext, server_hostname: str) -> None:
        transport = await asyncio.get_running_loop().start_tls(
            self._transport, self, tls, server_hostname=server_hostname
        )
        if transport is None:
            raise httpcore.ReadError("the connection ended in the handshake")
        self._transport = transport

    def abort(self) -> None:
        self._transport.abort()

    def is_readable(self) -> bool:
        return self.is_lost or bool(self._buffer)

    def get_extra_info(self, info: str) -> Any:
        return self.is_readable() if info == "is_readable" else self._transport.get_extra_info(info)


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


@contextmanager
def _timeout_as(error: type[httpcore.TimeoutException]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise error("no progress in time") from exc
