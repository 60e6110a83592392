"""A captured webhook request as text: its headers, an empty line, its body."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.errors import InvalidRequest

CAPTURED_MAX_BYTES = 16 * 1024 * 1024


def parse_captured(data: bytes) -> tuple[dict[str, str], bytes]:
    """Split a request into headers, names in lower case, and body; a request line is passed over.

    Raises InvalidRequest. The body is taken byte by byte: a line end added by an editor is part of
    it, and breaks the signature, unless a Content-Length says that it is not.
    """
    if len(data) > CAPTURED_MAX_BYTES:
        raise InvalidRequest(f"the request is larger than {CAPTURED_MAX_BYTES} bytes")
    ends = [(at, end) for end in (b"\r\n\r\n", b"\n\n") if (at := data.find(end)) >= 0]
    if not ends:
        raise InvalidRequest("the request needs its headers, an empty line, and its body")
    at, end = min(ends)
    lines = data[:at].decode("latin-1").splitlines()
    if lines and ":" not in lines[0].split(" ", 1)[0]:
        lines = lines[1:]
    pairs = [line.partition(":") for line in lines]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = data[at + len(end) :]
    length = headers.get("content-length", "")
    return headers, body[: int(length)] if length.isascii() and length.isdecimal() else body


def utc_of(unix_s: float) -> str:
    """Give a moment for people."""
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"at {unix_s:.0f}"
