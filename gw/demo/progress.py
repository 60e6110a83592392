"""Progress of the demonstration: one line that changes on a terminal, a line per picture else."""

from __future__ import annotations

import shutil
from typing import Final

import click

from gw.demo.passages import Passage
from gw.demo.report import line

#: Back to the line's beginning, and the rest of it cleared (ECMA-48).
_REWRITE: Final = "\r\x1b[K"


class Progress:
    """Counts passages up to *total*."""

    def __init__(self, total: int, *, is_terminal: bool) -> None:
        self._total = total
        self._is_terminal = is_terminal
        self._done = 0

    def ended(self, passage: Passage) -> None:
        """Tell of one more."""
        self._done += 1
        text = f"{self._done:>{len(str(self._total))}} of {self._total}  {line(passage)}"
        if not self._is_terminal:
            click.echo(text)
        elif passage.is_good:
            width = shutil.get_terminal_size().columns
            click.echo(_REWRITE + text[: width - 1], nl=False, color=True)
        else:
            # What failed stays to be read.
            click.echo(_REWRITE + text, color=True)

    def close(self) -> None:
        """Leave the line."""
        if self._is_terminal:
            click.echo(_REWRITE, nl=False, color=True)
