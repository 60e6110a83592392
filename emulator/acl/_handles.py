"""The ownership table: every live handle with its kind and where it was made."""

from __future__ import annotations

import itertools
import os
import sys
from collections import OrderedDict
from dataclasses import dataclass
from types import CodeType
from typing import TypeVar

from acl._findings import Findings

T = TypeVar("T")

_HERE = os.path.dirname(os.path.abspath(__file__))
_STACK_DEPTH = 6
_REMEMBERED_ENDS = 4096
# Handles look like heap addresses and are never used twice.
_FIRST_HANDLE = 0x5_0000_0000
_HANDLE_STEP = 16

#: Frames outside the emulator, innermost first.
Stack = tuple[tuple[CodeType, int], ...]


def calling_stack() -> Stack:
    """Give the frames that lead into the emulator."""
    frame = sys._getframe(1)
    frames: list[tuple[CodeType, int]] = []
    walked = frame
    while walked is not None and len(frames) < _STACK_DEPTH:
        if not walked.f_code.co_filename.startswith(_HERE):
            frames.append((walked.f_code, walked.f_lineno))
        if walked.f_back is None:
            break
        walked = walked.f_back
    return tuple(frames)


def describe(stack: Stack) -> str:
    """Give *stack* as one line, innermost frame first."""
    places = (f"{code.co_filename}:{line} in {code.co_name}" for code, line in stack)
    return " < ".join(places) or "an unknown place"


@dataclass(slots=True)
class _Entry:
    kind: str
    thing: object
    made: Stack


class Ledger:
    """Issues handles and knows what each one is, until it is given back."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._numbers = itertools.count(_FIRST_HANDLE, _HANDLE_STEP)
        self._live: dict[int, _Entry] = {}
        self._ended: OrderedDict[int, tuple[str, Stack]] = OrderedDict()

    def add(self, kind: str, thing: object, *, handle: int | None = None) -> int:
        """Enter *thing*, and give its handle (a fresh one unless *handle* is given)."""
        number = next(self._numbers) if handle is None else handle
        self._live[number] = _Entry(kind, thing, calling_stack())
        self._ended.pop(number, None)
        return number

    def get(self, kind: str, handle: int, wanted: type[T], *, call: str) -> T | None:
        """Give what *handle* stands for; None if 0; a handle of another sort is a misuse."""
        if not handle:
            return None
        entry = self._live.get(handle)
        if entry is not None and entry.kind == kind and isinstance(entry.thing, wanted):
            return entry.thing
        self._findings.misuse(f"{call}: {self._diagnose(kind, handle, entry)}")
        return None

    def peek(self, kind: str, handle: int, wanted: type[T]) -> T | None:
        """Give what *handle* stands for, or None, without holding it against anybody."""
        entry = self._live.get(handle)
        if entry is not None and entry.kind == kind and isinstance(entry.thing, wanted):
            return entry.thing
        return None

    def remove(self, handle: int) -> None:
        """Take *handle* out; a later use is a use after destruction."""
        entry = self._live.pop(handle)
        self._ended[handle] = (entry.kind, calling_stack())
        if len(self._ended) > _REMEMBERED_ENDS:
            self._ended.popitem(last=False)

    def ended(self, handle: int) -> bool:
        """Whether *handle* was live once and is remembered as destroyed."""
        return handle in self._ended

    def of_kind(self, kind: str, wanted: type[T]) -> list[tuple[int, T]]:
        """Give the live handles of *kind* with their things."""
        return [
            (handle, entry.thing)
            for handle, entry in list(self._live.items())
            if entry.kind == kind and isinstance(entry.thing, wanted)
        ]

    def count(self, kind: str) -> int:
        """Give how many handles of *kind* are live."""
        return sum(entry.kind == kind for entry in list(self._live.values()))

    def live(self, *, hidden: frozenset[str] = frozenset()) -> list[str]:
        """Give one line for each live handle that the program has to give back."""
        return [
            f"{entry.kind} {handle:#x} made at {describe(entry.made)}"
            for handle, entry in list(self._live.items())
            if entry.kind not in hidden
        ]

    def _diagnose(self, kind: str, handle: int, entry: _Entry | None) -> str:
        if entry is not None:
            return f"{handle:#x} is a {entry.kind}, not a {kind}; made at {describe(entry.made)}"
        if handle in self._ended:
            was, where = self._ended[handle]
            return f"the {was} {handle:#x} was already destroyed at {describe(where)}"
        return f"{handle:#x} is no {kind}: acl never gave it out"
