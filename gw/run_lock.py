"""The lock that says whether a stack runs on a data folder. A pid in a file alone is never trusted.

The supervisor holds an exclusive ``flock`` for its whole life, so the kernel lets go of it however
the supervisor ends. The file's content names the holder by pid and start time; it is believed only
while the lock is held *and* the process with that pid started at that time.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pipeline.errors import InvalidSettings

#: A prober holds the lock shared for microseconds; a starter that meets one tries again.
_ACQUIRE_PATIENCE_S: Final = 1.0
#: Between taking the lock and writing its name a holder needs microseconds.
_NAME_PATIENCE_S: Final = 2.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a lock. *start_mark* tells it from a later process of the same pid."""

    pid: int
    start_mark: str


class RunLock:
    """An exclusive claim on a data folder, for the life of this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take the lock or raise InvalidSettings, naming the process that has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline_s = time.monotonic() + _ACQUIRE_PATIENCE_S
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= deadline_s:
                os.close(descriptor)
                raise InvalidSettings(self._refusal())
            time.sleep(_POLL_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {start_mark(os.getpid())}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the lock. The file stays: removing it would let two holders lock two files."""
        os.close(self._descriptor)
        self._descriptor = -1

    def _refusal(self) -> str:
        holder = holder_of(self._path)
        who = f" (process {holder.pid})" if holder else ""
        folder = self._path.parent.parent
        return f"gw already runs on the data folder {folder}{who}; `gw down` stops it"


def holder_of(path: Path) -> Holder | None:
    """Tell who holds the lock at *path*; None when nobody does.

    Raises InvalidSettings if the lock is held by something that never says its name.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        deadline_s = time.monotonic() + _NAME_PATIENCE_S
        while not _try_lock(descriptor, fcntl.LOCK_SH):
            holder = _parse_holder(os.pread(descriptor, 256, 0))
            if holder is not None and start_mark(holder.pid) == holder.start_mark:
                return holder
            if time.monotonic() >= deadline_s:
                raise InvalidSettings(f"{path} is locked by a process that does not say its pid")
            time.sleep(_POLL_S)
        return None
    finally:
        os.close(descriptor)


def start_mark(pid: int) -> str:
    """Tell when process *pid* started, as the kernel counts it; empty where it cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return ""
    # The second field is the program's name in brackets and may itself hold spaces and brackets.
    return stat.rpartition(b")")[2].split()[19].decode()


def _parse_holder(content: bytes) -> Holder | None:
    pid, separator, mark = content.decode("ascii", "replace").rstrip("\n").partition(" ")
    if not separator or not pid.isdecimal():
        return None
    return Holder(pid=int(pid), start_mark=mark)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
