"""Whether an operation shall hand back: the service stops, or is about to."""

from __future__ import annotations

from pipeline.errors import Unavailable

_asked = False


class HandedBack(Unavailable):
    """The operation stops at a boundary, or gives way; the planner asks for it again."""


def ask() -> None:
    """Ask the operation of this process to hand back."""
    global _asked  # noqa: PLW0603  # a signal handler has nobody else to tell
    _asked = True


def check() -> None:
    """Raise HandedBack if the operation shall stop here."""
    if _asked:
        raise HandedBack("the service is stopping")
