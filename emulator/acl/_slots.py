"""The seats on a device: at most so many processes at once, counted across processes.

A seat is one locked byte of a file; the system frees it when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path


class _Seat:
    descriptor = -1


def take(folder: str, seats: int) -> bool:
    """Take a seat, once for the process; False if all are taken."""
    if _Seat.descriptor >= 0:
        return True
    where = Path(folder or Path(tempfile.gettempdir()) / f"acl-emulator-{os.getuid()}")
    where.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(where / "processes", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for seat in range(seats):
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, seat)
        except OSError:
            continue
        _Seat.descriptor = descriptor
        return True
    os.close(descriptor)
    return False


def leave() -> None:
    """Give the seat back."""
    if _Seat.descriptor >= 0:
        os.close(_Seat.descriptor)
        _Seat.descriptor = -1
