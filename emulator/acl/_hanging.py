"""What a hung operator does: not return."""

from __future__ import annotations

import time

from acl import _codes
from acl._clock import hold_until
from acl._machine import Machine
from acl._streams import Stream


def hang(machine: Machine, for_ms: float, stream: Stream | None) -> int:
    """Do not return for *for_ms* (0: for ever, or the operator limit): as a hung operator does.

    Without a stream the interpreter lock is held meanwhile.
    """
    limit_s = for_ms / 1000 or machine.op_timeout_s
    if stream is not None:
        if stream.stopped.wait(limit_s or None):
            return _codes.RT_MODEL_EXECUTE
    else:
        hold_until(time.monotonic() + (limit_s or 1e9))
    if for_ms:
        return 0
    machine.life.dead_code = _codes.RT_AICORE_TIMEOUT
    return _codes.RT_AICORE_TIMEOUT
