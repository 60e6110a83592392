"""Steps over httpx: what the blocking and the asynchronous hands share."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Final

import httpx

from gw.client.errors import TransportFailed, UnexpectedAnswer
from gw.client.retrying import Retrying
from gw.client.wire import Answer, Request

#: Before these were over, nothing was sent.
_BEFORE_SENDING: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a client behaves.

    *timeout_s* is for connecting, and for each silence of a request on its way. *verify* is as in
    httpx: the authorities to trust. *retrying* says how long passing refusals are waited out.
    """

    timeout_s: float = 30.0
    retrying: Retrying = field(default_factory=Retrying)
    verify: bool | SSLContext = True


def client_options(url: str, key: str, options: Options) -> dict[str, Any]:
    """Give the arguments of httpx's client. A proxy is not asked for the way to this machine."""
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}", "User-Agent": "gw-client"},
        "timeout": options.timeout_s,
        "verify": options.verify,
        "trust_env": not _is_loopback(httpx.URL(url).host),
        "limits": httpx.Limits(max_connections=None),
    }


def request_options(request: Request, options: Options) -> dict[str, Any]:
    """Give the arguments of httpx's request, but for its content."""
    headers: dict[str, str] = dict(request.headers)
    if request.body is not None:
        headers["Content-Type"] = request.body.content_type
        if request.body.length_bytes is not None:
            headers["Content-Length"] = str(request.body.length_bytes)
    silence_s = options.timeout_s if request.read_s is None else request.read_s
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.query) or None,
        "headers": headers,
        "timeout": httpx.Timeout(options.timeout_s, read=max(silence_s, 0.001)),
    }


def answer_of(response: httpx.Response, *, is_open: bool = False) -> Answer:
    """Give an answer as the flows know it."""
    return Answer(
        status=response.status_code,
        headers=dict(response.headers),
        body=b"" if is_open else response.content,
    )


@contextmanager
def transport_errors(url: object) -> Iterator[None]:
    """Turn httpx's errors into TransportFailed; raises UnexpectedAnswer for what is no HTTP."""
    try:
        yield
    except httpx.TransportError as exc:
        was_sent = not isinstance(exc, _BEFORE_SENDING)
        raise TransportFailed(
            f"the API at {url} does not answer: {exc or type(exc).__name__}", was_sent=was_sent
        ) from exc
    except httpx.DecodingError as exc:
        raise UnexpectedAnswer(f"the answer of {url} cannot be read: {exc}") from exc


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
