"""``gw down``: stop the supervisor that holds a data folder's lock, and wait until it is gone."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from gw.data_folder import DataFolder
from gw.run_lock import Holder, holder_of
from pipeline.errors import Unavailable

_POLL_S: Final = 0.1


def stop_stack(folder: DataFolder, *, timeout_s: float, now: bool = False) -> bool:
    """Stop the stack on *folder*; False if none runs. *now* kills instead of finishing work.

    Returns when the lock is free; raises Unavailable if it is not after *timeout_s*.
    """
    holder = holder_of(folder.lock)
    if holder is None:
        return False
    _signal(folder, holder, signal.SIGTERM)
    if now:
        # Two signals sent in one breath could arrive as one.
        time.sleep(2 * _POLL_S)
        _signal(folder, holder, signal.SIGTERM)
    deadline_s = time.monotonic() + timeout_s
    while holder_of(folder.lock) == holder:
        if time.monotonic() >= deadline_s:
            raise Unavailable(
                f"gw (process {holder.pid}) did not stop within {timeout_s:g} s;"
                " `gw down --now` kills it"
            )
        time.sleep(_POLL_S)
    return True


def _signal(folder: DataFolder, holder: Holder, number: signal.Signals) -> None:
    """Signal exactly the lock's holder: the handle is opened first and checked afterwards."""
    try:
        handle = os.pidfd_open(holder.pid)
    except AttributeError:  # not on this system
        os.kill(holder.pid, number)
        return
    except ProcessLookupError:
        return
    try:
        if holder_of(folder.lock) == holder:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
