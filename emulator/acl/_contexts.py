"""Contexts: which one a thread works in, and the default one that set_device shares."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acl._streams import Stream

CONTEXT = "context"


@dataclass(slots=True, eq=False)
class Current:
    """One context. *alive* is false once it is destroyed, for the threads that still hold it."""

    device_id: int
    is_default: bool
    handle: int = 0
    alive: bool = True
    default_stream: Stream | None = None
    default_stream_handle: int = 0


class _OfThread(threading.local):
    context: Current | None = None


class Contexts:
    """Every thread's context, and every device's default one with its count of set_device."""

    def __init__(self) -> None:
        self._thread = _OfThread()
        self.defaults: dict[int, Current] = {}
        self.uses: dict[int, int] = {}

    def current(self) -> Current | None:
        """Give the calling thread's context unless it was destroyed."""
        context = self._thread.context
        return context if context is not None and context.alive else None

    def enter(self, context: Current | None) -> None:
        """Make *context* the calling thread's."""
        self._thread.context = context
