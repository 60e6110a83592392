"""One bounded exchange: a request, and within its deadline an answer or a classified fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpcore

from egress.answer import Answer, Fault, FaultKind, Outcome
from egress.client import EgressClient, RawHeaders, Response
from egress.resolve import ResolutionFailed
from egress.stream import TlsFailed
from egress.targets import parse_target
from pipeline.errors import InvalidRequest, TargetNotAllowed

_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 8192

# In order: the first class that fits names the kind.
_KINDS: tuple[tuple[type[Exception], FaultKind], ...] = (
    (TargetNotAllowed, FaultKind.TARGET_NOT_ALLOWED),
    (InvalidRequest, FaultKind.TARGET_NOT_ALLOWED),
    (ResolutionFailed, FaultKind.DNS),
    (TlsFailed, FaultKind.TLS),
    (httpcore.ConnectError, FaultKind.CONNECT),
    (httpcore.ConnectTimeout, FaultKind.CONNECT),
    (httpcore.NetworkError, FaultKind.RESET),
    (httpcore.ProtocolError, FaultKind.PROTOCOL),
    (TimeoutError, FaultKind.TIMEOUT),
)
#: Every exception that an exchange over the client may end with.
EXCHANGE_ERRORS = tuple(error for error, _ in _KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent. Header names are lower case; those of the connection are the client's own."""

    method: str
    url: str = field(repr=False)
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


def fault_kind(exc: Exception) -> FaultKind:
    """Give the kind of one of EXCHANGE_ERRORS."""
    return next(kind for error, kind in _KINDS if isinstance(exc, error))


async def exchange(
    client: EgressClient, message: Message, *, deadline_s: float, max_response_bytes: int
) -> Outcome:
    """Send *message* and give what came of it after at most *deadline_s*, name lookup included.

    Once status and header have come it is an Answer, even if the body then stalls or breaks off:
    the receiver has spoken, and its body is only for the record. At most *max_response_bytes* of
    it are kept, and no more is read.
    """
    # Not the loop's time: uvloop's stands still within a turn and counts whole milliseconds.
    started_s = time.perf_counter()
    response: Response | None = None
    body = bytearray()
    is_truncated = False
    fault: Exception | None = None
    try:
        target = parse_target(message.url)
        headers = [(name.encode("ascii"), value.encode("utf-8")) for name, value in message.headers]
        async with asyncio.timeout(deadline_s):
            response = await client.send(message.method, target, headers, message.body)
            try:
                is_truncated = await read_up_to(response, body, max_response_bytes)
            finally:
                await response.aclose()
    except EXCHANGE_ERRORS as exc:
        fault = exc

    elapsed_ms = (time.perf_counter() - started_s) * 1e3
    if response is not None:
        return Answer(
            status=response.status,
            headers=_bounded(response.headers),
            body=bytes(body),
            truncated=is_truncated or fault is not None,
            fault=None if fault is None else fault_kind(fault),
            elapsed_ms=elapsed_ms,
        )
    if fault is None:
        raise AssertionError("no answer and no fault")
    kind = fault_kind(fault)
    detail = f"no answer within {deadline_s:g} s" if kind is FaultKind.TIMEOUT else str(fault)
    return Fault(kind=kind, detail=detail or kind, elapsed_ms=elapsed_ms)


async def read_up_to(response: Response, body: bytearray, max_bytes: int) -> bool:
    """Append at most *max_bytes* of the answer's body to *body*; tell whether there was more."""
    async for chunk in response.chunks():
        room_bytes = max_bytes - len(body)
        if len(chunk) > room_bytes:
            body += chunk[:room_bytes]
            return True
        body += chunk
    return False


def _bounded(headers: RawHeaders) -> tuple[tuple[str, str], ...]:
    kept = []
    left_bytes = _MAX_HEADER_BYTES
    for name, value in headers[:_MAX_HEADERS]:
        left_bytes -= len(name) + len(value)
        if left_bytes < 0:
            break
        kept.append((name.decode("latin-1").lower(), value.decode("latin-1")))
    return tuple(kept)
