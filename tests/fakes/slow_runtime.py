"""A runtime of known speed: the CPU runtime, with each batch taking at least a given time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dispatcher.onnx_runtime import OnnxRuntime

FIXED_S = 0.02
ITEM_S = 0.01


class SlowRuntime(OnnxRuntime):
    """Sleeps 20 ms a batch and 10 ms an item before it answers."""

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch*, slowly."""
        time.sleep(FIXED_S + ITEM_S * len(batch))
        return super().infer(key, batch)
