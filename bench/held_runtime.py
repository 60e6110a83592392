"""A runtime that can be held: as long as a file exists, every batch takes seconds.

So a backlog grows in front of a dispatcher that lives, claims and decodes as always.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.runtime import RuntimeOptions

#: Names the file. Not a setting of gw: the device process inherits it.
HOLD_VARIABLE = "BENCH_HOLD_FILE"
_BATCH_S = 5.0
_LOOK_S = 0.02


class HeldRuntime(OnnxRuntime):
    """The CPU runtime with a brake."""

    def __init__(self, options: RuntimeOptions) -> None:
        super().__init__(options)
        self._hold = Path(os.environ[HOLD_VARIABLE])

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch*, after the wait if it is held."""
        until_s = time.monotonic() + _BATCH_S
        while self._hold.exists() and time.monotonic() < until_s:
            time.sleep(_LOOK_S)
        return super().infer(key, batch)
