"""Faults that are injected: at which passage of which place, and what happens there."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable

from acl._configuration import FaultSpec


class Faults:
    """Counts the passages of each place, and says which one goes wrong."""

    def __init__(self, specs: tuple[FaultSpec, ...]) -> None:
        self._lock = threading.Lock()
        self._specs = specs
        self._passages = [0] * len(specs)

    def strike(
        self, at: str, *, model: str = "", payload: Callable[[], bytes] | None = None
    ) -> FaultSpec | None:
        """Count a passage of *at*, and give the fault that strikes there, if one does.

        *payload* gives the bytes that a fault with contains_hex looks at.
        """
        struck: FaultSpec | None = None
        with self._lock:
            for position, spec in enumerate(self._specs):
                if spec.at != at or not fnmatch.fnmatchcase(model, spec.model):
                    continue
                if spec.contains_hex:
                    held = payload() if payload is not None else b""
                    if bytes.fromhex(spec.contains_hex) not in held:
                        continue
                self._passages[position] += 1
                late = self._passages[position] - spec.nth
                if late >= 0 and (spec.times == 0 or late < spec.times) and struck is None:
                    struck = spec
        return struck
