"""Logging: one line is one event with fields.

The message is the event's dotted name in the past tense (``batch.inferred``); facts go into
``extra``, numbers with units in their names. Never a body, a picture, a secret or a URL's query.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(service: str, *, level: str, style: str) -> None:
    """Send all logging to standard error as text or JSON lines (*style*)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service) if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # httpx logs every URL with its query at INFO, and a picture's or a webhook's URL may carry a
    # token there.
    for library in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(library).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """For people: time, level, event, then ``name=value`` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one event."""
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        pairs = "".join(f" {name}={_inline(value)}" for name, value in _fields(record).items())
        line = f"{stamp} {record.levelname.lower():<7} {record.getMessage()}{pairs}"
        return line + _traceback(self, record)


class JsonFormatter(logging.Formatter):
    """For machines: one JSON object a line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Format one event."""
        document = {
            "at_unix_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            document["traceback"] = _traceback(self, record).strip()
        return json.dumps(document, default=str, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _inline(value: object) -> str:
    # A line break in what somebody sent us must not look like an event of ours.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(value))


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    return "\n" + formatter.formatException(record.exc_info)
