"""Going through an HTTP proxy by CONNECT (RFC 9110 9.3.6), to an address that was judged before.

The proxy is asked for the judged address, not for the name: it must not resolve it anew, to
another answer. TLS is spoken with the receiver through the tunnel, under the receiver's own name.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

import httpcore

from egress.ranges import IPAddress
from egress.stream import Stream, TlsFailed, open_stream, tls_reason
from egress.targets import Target
from pipeline.errors import InvalidSettings

_MAX_ANSWER_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the proxy is, and what proves that we may use it (a header's value, or "")."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse ``http://[user:password@]host[:port]``; raises InvalidSettings without echoing."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 3128
        except ValueError as exc:
            raise InvalidSettings("GW_EGRESS_PROXY cannot be parsed") from exc
        if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.query:
            raise InvalidSettings("GW_EGRESS_PROXY must read http://[user:password@]host:port")
        authorization = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        return cls(host=host, port=port, authorization=authorization)

    async def __call__(
        self, address: IPAddress, target: Target, tls: ssl.SSLContext, *, time_limit_s: float
    ) -> Stream:
        """Dial *address* through the proxy, as :func:`egress.stream.dial` does without one."""
        try:
            async with asyncio.timeout(time_limit_s):
                stream = await open_stream(self.host, self.port)
                try:
                    await self._open_tunnel(stream, address, target.port)
                    if target.scheme == "https":
                        await stream.begin_tls(tls, target.host)
                except BaseException:
                    stream.abort()
                    raise
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("no connection through the proxy in time") from exc
        except ssl.SSLError as exc:
            raise TlsFailed(tls_reason(exc)) from exc
        except httpcore.NetworkError as exc:
            raise httpcore.ConnectError("the egress proxy ended the connection") from exc
        except OSError as exc:
            reason = exc.strerror or "the connection failed"
            raise httpcore.ConnectError(f"the egress proxy: {reason}") from exc
        return stream

    async def _open_tunnel(self, stream: Stream, address: IPAddress, port: int) -> None:
        authority = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        await stream.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = b""
        # Byte by byte at its end: what follows the head is the receiver's.
        while not answer.endswith(b"\r\n\r\n"):
            byte = await stream.read(1)
            answer += byte
            if not byte or len(answer) > _MAX_ANSWER_BYTES:
                raise httpcore.ConnectError("the egress proxy's answer is not HTTP")
        status = answer.split(b"\r\n", 1)[0].split(b" ")[1:2]
        if not status or not status[0].startswith(b"2"):
            shown = status[0][:3].decode("ascii", "replace") if status else "nothing"
            raise httpcore.ConnectError(f"the egress proxy answered {shown}")
