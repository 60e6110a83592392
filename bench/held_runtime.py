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


#: What a batch takes in a PacedRuntime, and each picture in it.
PACED_FIXED_S = 0.02
PACED_ITEM_S = 0.01


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


class PacedRuntime(OnnxRuntime):
    """The CPU runtime at a known pace, which is all that a small device can do."""

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch*, slowly."""
        time.sleep(PACED_FIXED_S + PACED_ITEM_S * len(batch))
        return super().infer(key, batch)


class NoWorkRuntime(OnnxRuntime):
    """Answers every picture as it answered the first: what is left is the platform."""

    def __init__(self, options: RuntimeOptions) -> None:
        super().__init__(options)
        self._first: dict[str, Mapping[str, NDArray[Any]]] = {}

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Give the first answer, as often as there are pictures in *batch*."""
        if key not in self._first:
            self._first[key] = super().infer(key, batch[:1])
        return {name: values.repeat(len(batch), 0) for name, values in self._first[key].items()}
