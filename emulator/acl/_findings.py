"""What the emulator holds against a program, and the recent error text of each thread.

A call that CANN answers with a code answers with that code here, and leaves its text for
``acl.get_recent_err_msg``. A misuse that hardware would answer with corrupted data, a hang or a
leak is a finding: it is written to stderr, and in strict mode raised as Misuse.
"""

from __future__ import annotations

import sys
import threading


class Misuse(RuntimeError):
    """The program does what on hardware corrupts memory, hangs, or leaks."""


class _RecentError(threading.local):
    text: str | None = None
    code: int = 0


class Findings:
    """The findings of a process, in order, and each thread's recent error text."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.texts: list[str] = []
        self._recent = _RecentError()
        self._told: set[str] = set()

    def fail(self, code: int, text: str) -> int:
        """Leave *text* as this thread's recent error, and give *code* back."""
        self._recent.text = f"EE{code}: {text}"
        self._recent.code = code
        return code

    def last_code(self, *, take: bool) -> int:
        """Give this thread's last code; with *take*, forget it."""
        code = self._recent.code
        if take:
            self._recent.code = 0
        return code

    def take_recent(self) -> str | None:
        """Give this thread's recent error text, and forget it."""
        text = self._recent.text
        self._recent.text = None
        return text

    def misuse(self, text: str) -> None:
        """Note a finding. Raises Misuse in strict mode."""
        self.texts.append(text)
        self._recent.text = text
        sys.stderr.write(f"acl emulator: {text}\n")
        if self.strict:
            raise Misuse(text)

    def note_late(self, text: str) -> None:
        """Note a finding where nobody can catch an exception: a stream's worker, or the exit."""
        self.texts.append(text)
        sys.stderr.write(f"acl emulator: {text}\n")

    def warn(self, text: str) -> None:
        """Tell, once per text, of something legal that is seldom meant."""
        if text not in self._told:
            self._told.add(text)
            sys.stderr.write(f"acl emulator: warning: {text}\n")
