"""Bind a process to its supervisor's life, then become the program. Run as a script, not imported.

``python -I -S child_shim.py PARENT_PID LOCK_PATH PROGRAM ARGUMENT...``

On Linux the kernel sends SIGKILL to the program when the thread that started it ends, however it
ends. Doing this here, between fork and exec of the real program, keeps Python code out of the
forked child of a process that has threads. LOCK_PATH, if not empty, is locked for as long as the
program (or a child it forked) lives; the lock outlasts the exec.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from typing import Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1
#: How long an earlier holder that has just been killed may need to be gone.
_LOCK_PATIENCE_S: Final = 10.0
_EXIT_LOCKED: Final = 75
_EXIT_CANNOT_RUN: Final = 127


def bind_to_parent(parent_pid: int) -> None:
    """Die with *parent_pid*: from now on, and at once if it is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have ended before the line above took effect.
    if os.getppid() != parent_pid:
        sys.exit("the supervisor is gone")


def hold_lock(path: str) -> None:
    """Lock *path* with a descriptor that stays open across exec."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    deadline_s = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                sys.stderr.write(f"{path} is held by another process\n")
                sys.exit(_EXIT_LOCKED)
        time.sleep(0.05)


def main(arguments: list[str]) -> NoReturn:
    """Bind, lock, and become the program."""
    parent_pid, lock_path, *program = arguments
    bind_to_parent(int(parent_pid))
    if lock_path:
        hold_lock(lock_path)
    try:
        os.execvp(program[0], program)  # noqa: S606 - the stack's own command lines, no shell
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(_EXIT_CANNOT_RUN)


if __name__ == "__main__":
    main(sys.argv[1:])
