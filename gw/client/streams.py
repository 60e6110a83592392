"""Server-sent events (HTML Living Standard, 9.2), cut out of the pieces that arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gw.client.errors import UnexpectedAnswer

#: An event's data is a job's document: metadata and little else.
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """One event: its type, its id ("" without one) and its data."""

    type: str
    id: str
    data: dict[str, Any]


class StreamReader:
    """Takes pieces, gives events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[StreamEvent]:
        """Take a piece, and give the events that it completes; raises UnexpectedAnswer."""
        text = (self._rest + piece).replace(b"\r\n", b"\n")
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > _MAX_BYTES:
            raise UnexpectedAnswer("an event of the stream does not end")
        for block in blocks:
            event = _event_of(block.decode("utf-8", "replace"))
            if event is not None:
                yield event


def _event_of(block: str) -> StreamEvent | None:
    """Read one event; None for a comment, or what has no data."""
    fields: dict[str, list[str]] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    try:
        data = json.loads("\n".join(fields["data"]))
    except ValueError as exc:
        raise UnexpectedAnswer("an event of the stream is no JSON") from exc
    if not isinstance(data, dict):
        raise UnexpectedAnswer("an event of the stream is no JSON object")
    return StreamEvent(
        type=fields.get("event", ["message"])[-1], id=fields.get("id", [""])[-1], data=data
    )
