"""The client: one request to a judged address, one answer, over a connection that may be kept.

It stands on httpcore's HTTP/1.1 connection but not on its pool, which looks at every connection on
every request and at 16 connections costs several times the exchange itself. HTTP/1.1 only; no
redirects, cookies, decompression, or proxies from the environment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpcore

from egress.connect import Connector, tls_context, trust
from egress.kept import Connection, KeepLimits, KeptConnections
from egress.policy import EgressPolicy
from egress.proxy import Proxy
from egress.ranges import IPAddress
from egress.resolve import Resolver, SystemResolver
from egress.settings import EgressSettings
from egress.stream import Dialler, Stream, dial
from egress.targets import Target
from pipeline.errors import InvalidSettings, TargetNotAllowed

RawHeaders = Sequence[tuple[bytes, bytes]]

#: Request headers that the client writes itself; the same names handed in are left out.
OWN_HEADERS = frozenset(
    {b"host", b"user-agent", b"accept-encoding", b"content-length", b"transfer-encoding"}
    | {b"connection", b"keep-alive", b"upgrade", b"te", b"trailer", b"expect"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Bounds of a client: exchanges at once, time to connect, and what is kept open.

    An exchange past *max_busy* waits, which counts against its deadline. Callers bound what they
    begin more tightly, so that silent receivers never hold every place.
    """

    max_busy: int = 1024
    connect_s: float = 5.0
    kept: KeepLimits = field(default_factory=KeepLimits)


class Response:
    """An answer whose header has come. Its connection is busy until :meth:`aclose`."""

    def __init__(
        self, client: EgressClient, connection: Connection, response: httpcore.Response
    ) -> None:
        self.status = response.status
        self.headers: RawHeaders = response.headers
        self._client = client
        self._connection = connection
        self._response = response
        self._is_closed = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as sent, piece by piece, once; raises as :meth:`EgressClient.send` does."""
        with _loss_is_read_error(self._connection.stream):
            async for chunk in self._response.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back. It is dropped unless the body was read to its end."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._response.aclose()
        finally:
            self._client.give_back(self._connection)


class EgressClient:
    """Sends requests to targets that *policy* allows.

    *resolver* and *dialler* can be handed in; *ca_file* is what *tls* trusts, if not the system.
    A client belongs to one event loop.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver | None = None,
        dialler: Dialler = dial,
        tls: ssl.SSLContext | None = None,
        limits: ClientLimits | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self._ca_file = ca_file
        limits = limits or ClientLimits()
        self._connector = Connector(
            policy=policy,
            resolver=resolver or SystemResolver(),
            dialler=dialler,
            tls=tls or tls_context(),
            time_limit_s=limits.connect_s,
        )
        self._kept = KeptConnections(limits.kept)
        self._slots = asyncio.Semaphore(limits.max_busy)

    async def judge(self, target: Target) -> Sequence[IPAddress]:
        """Give the addresses at which something else than HTTP may be spoken with *target*.

        Raises TargetNotAllowed, always where a proxy has been set: it is one for HTTP receivers.
        Raises ResolutionFailed.
        """
        if self._connector.dialler is not dial:
            raise TargetNotAllowed("brokers are not reached through the proxy")
        return await self._connector.judge(target)

    def trust(self, context: ssl.SSLContext) -> None:
        """Have *context* trust whom this client trusts; raises OSError."""
        trust(context, self._ca_file)

    async def send(
        self, method: str, target: Target, headers: RawHeaders = (), body: bytes = b""
    ) -> Response:
        """Send one request and wait for the header of its answer. The caller sets the deadline.

        Raises TargetNotAllowed, ResolutionFailed, TlsFailed, or an error of httpcore: ConnectError,
        ConnectTimeout, ReadError where the connection ended early, RemoteProtocolError where the
        answer is not HTTP/1.1.

        A kept connection that turns out to be closed before a byte of the answer came is replaced
        by a new one, once: receivers close idle connections just when we write to them. So in rare
        cases a receiver sees one request twice.
        """
        request = _request(method, target, headers, body)
        await self._slots.acquire()
        try:
            return await self._send(request, target)
        except BaseException:
            self._slots.release()
            raise

    async def aclose(self) -> None:
        """Close idle connections at once, and busy ones when they are given back."""
        self._kept.close()

    def give_back(self, connection: Connection) -> None:
        """Keep or drop the connection of a finished exchange; for :class:`Response` alone."""
        self._slots.release()
        self._kept.put(connection, asyncio.get_running_loop().time())

    async def _send(self, request: httpcore.Request, target: Target) -> Response:
        loop = asyncio.get_running_loop()
        origin = request.url.origin
        key = (origin.scheme, origin.host, origin.port)
        kept = self._kept.take(key, loop.time())
        if kept is not None:
            heard_bytes = kept.stream.heard_bytes
            try:
                return await self._exchange(kept, request)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                if kept.stream.heard_bytes != heard_bytes:
                    raise

        stream = await self._connector.connect(target)
        fresh = Connection(
            http=httpcore.AsyncHTTP11Connection(origin=origin, stream=stream),
            stream=stream,
            key=key,
            dialled_at_s=loop.time(),
        )
        return await self._exchange(fresh, request)

    async def _exchange(self, connection: Connection, request: httpcore.Request) -> Response:
        # On any error, a cancellation included, httpcore closes the connection.
        with _loss_is_read_error(connection.stream):
            response = await connection.http.handle_async_request(request)
        return Response(self, connection, response)


def client_of(
    settings: EgressSettings, policy: EgressPolicy, *, limits: ClientLimits | None = None
) -> EgressClient:
    """Make the client that *settings* describe; raises InvalidSettings."""

    def path(text: str) -> Path | None:
        return Path(text) if text else None

    try:
        tls = tls_context(
            path(settings.ca_file),
            client_cert_file=path(settings.client_cert_file),
            client_key_file=path(settings.client_key_file),
        )
    except OSError as exc:
        raise InvalidSettings(f"a certificate file cannot be used: {exc}") from exc
    dialler = Proxy.parse(settings.proxy) if settings.proxy else dial
    return EgressClient(
        policy, dialler=dialler, tls=tls, limits=limits, ca_file=path(settings.ca_file)
    )


def _request(method: str, target: Target, headers: RawHeaders, body: bytes) -> httpcore.Request:
    own = [
        (b"host", target.authority.encode("ascii")),
        (b"user-agent", b"gw"),
        # An answer that is not compressed cannot be a decompression bomb.
        (b"accept-encoding", b"identity"),
    ]
    if body or method not in ("GET", "HEAD", "OPTIONS"):
        own.append((b"content-length", b"%d" % len(body)))
    own += [header for header in headers if header[0] not in OWN_HEADERS]
    url = httpcore.URL(
        scheme=target.scheme.encode("ascii"),
        host=target.host.encode("ascii"),
        port=target.port,
        target=target.path.encode("ascii"),
    )
    return httpcore.Request(method, url, headers=own, content=body)


@contextmanager
def _loss_is_read_error(stream: Stream) -> Iterator[None]:
    """Tell a connection that ended from an answer that is not HTTP: httpcore has one error."""
    try:
        yield
    except httpcore.RemoteProtocolError as exc:
        if stream.end_was_read:
            raise httpcore.ReadError("the connection ended before the answer did") from exc
        raise
