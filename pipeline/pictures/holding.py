"""Holds files that would be removed while a backup runs: they go into a folder beside their own.

A backup holds before it takes its snapshot of the records. A file is removed only after its record
has moved on, so whatever the snapshot still needs lies in one of the two folders. A hold runs out
by itself, so that a backup that was killed does not fill the disk.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.errors import InvalidSettings, Unavailable

#: A backup says at least this often that it lives; many times as often, in truth.
HOLD_S: Final = 60.0

_UNTIL: Final = ".until"


class Hold:
    """The hold on one folder. Calls block; all but :meth:`begin` and :meth:`end` are quick."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # A sibling: a folder's own files are listed by sweeps.
        self._folder = root.with_name(root.name + ".held")
        self._until = self._folder / _UNTIL

    def remove(self, path: Path) -> None:
        """Remove a file, or put it aside while a hold is in force; one that is gone is fine."""
        if not self._is_in_force():
            path.unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError):
            path.rename(self._folder / path.name)

    def keep_a_link(self, path: Path) -> None:
        """Keep a file that is about to be renamed, while a hold is in force."""
        if self._is_in_force():
            with suppress(FileNotFoundError, FileExistsError):
                (self._folder / path.name).hardlink_to(path)

    def begin(self) -> None:
        """Hold from now on; raises InvalidSettings where another backup does."""
        if self._is_in_force():
            raise InvalidSettings(f"another backup is under way: it holds {self._folder}")
        # What a backup left behind that was killed.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._root.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir()
        part = self._folder / f"{_UNTIL}.part"
        part.touch()
        _stamp(part)
        part.rename(self._until)

    def renew(self) -> None:
        """Hold on; raises Unavailable if the hold ran out meanwhile, since files may be lost."""
        if not self._is_in_force():
            raise Unavailable("the backup stood still for too long; take it again")
        _stamp(self._until)

    def end(self) -> None:
        """Remove what was put aside, and let go."""
        # First nothing more comes, then what is there goes.
        self._until.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def held(self) -> Iterator[Path]:
        """List the files that were put aside."""
        return (path for path in self._folder.iterdir() if path != self._until)

    def _is_in_force(self) -> bool:
        try:
            return self._until.stat().st_mtime > time.time()
        except FileNotFoundError:
            return False


def _stamp(path: Path) -> None:
    until_unix_s = time.time() + HOLD_S
    os.utime(path, (until_unix_s, until_unix_s))
