"""Fetching a picture by URL, with an error of its own for each way in which that can fail."""

from __future__ import annotations

import asyncio

from egress.answer import FaultKind
from egress.client import EgressClient, Response
from egress.exchange import EXCHANGE_ERRORS, fault_kind, read_up_to
from egress.targets import parse_target
from pipeline.errors import InvalidRequest, TargetNotAllowed

_ACCEPT = ((b"accept", b"image/*, */*;q=0.5"),)


class FetchFailed(InvalidRequest):
    """The picture could not be fetched from its URL."""

    code = "fetch_failed"

    def __init__(self, message: str) -> None:
        super().__init__(message, field="url")


class FetchUnreachable(FetchFailed):
    """The name, the connection, TLS or HTTP failed."""

    code = "fetch_unreachable"


class FetchTimedOut(FetchFailed):
    """The picture was not there by the deadline."""

    code = "fetch_timed_out"


class FetchRefused(FetchFailed):
    """The server answered with another status than 200."""

    code = "fetch_refused"


class FetchRedirected(FetchRefused):
    """The server answered with a redirect, which is not followed."""

    code = "fetch_redirected"


class FetchTooLarge(FetchFailed):
    """The body is larger than a picture may be."""

    code = "fetch_too_large"


class FetchEncoded(FetchFailed):
    """The server compressed the body although it was asked not to."""

    code = "fetch_encoded"


async def fetch(client: EgressClient, url: str, *, max_bytes: int, deadline_s: float) -> bytes:
    """Give the body at *url*, whole.

    Raises InvalidRequest for a malformed URL, TargetNotAllowed, or a FetchFailed. Stops reading as
    soon as the answer is known to be of no use.
    """
    target = parse_target(url)
    try:
        async with asyncio.timeout(deadline_s):
            response = await client.send("GET", target, _ACCEPT)
            try:
                return await _read(response, max_bytes)
            finally:
                await response.aclose()
    except (FetchFailed, TargetNotAllowed):
        raise
    except TimeoutError as exc:
        raise FetchTimedOut(f"the picture was not fetched within {deadline_s:g} s") from exc
    except EXCHANGE_ERRORS as exc:
        raise FetchUnreachable(f"the picture was not fetched: {_REASONS[fault_kind(exc)]}") from exc


_REASONS = {
    FaultKind.DNS: "the host's name was not resolved",
    FaultKind.CONNECT: "the host does not accept a connection",
    FaultKind.TLS: "the host's TLS certificate or handshake is not acceptable",
    FaultKind.RESET: "the connection ended early",
    FaultKind.PROTOCOL: "the answer is not HTTP/1.1",
}


async def _read(response: Response, max_bytes: int) -> bytes:
    headers = {name.lower(): value for name, value in response.headers}
    if 300 <= response.status < 400:
        raise FetchRedirected(f"the server redirects ({response.status}); give the final URL")
    if response.status != 200:
        raise FetchRefused(f"the server answered {response.status} instead of 200")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise FetchEncoded("the server compressed the picture although asked not to")
    # h11 has checked that a Content-Length is digits.
    if int(headers.get(b"content-length", b"0")) > max_bytes:
        raise _too_large(max_bytes)

    body = bytearray()
    if await read_up_to(response, body, max_bytes):
        raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> FetchTooLarge:
    return FetchTooLarge(f"the picture is larger than {max_bytes} bytes")
