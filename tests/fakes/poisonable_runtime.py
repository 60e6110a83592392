"""The CPU runtime, brought down by poison: the red of a picture's first pixel says how.

Named ``tests.fakes.poisonable_runtime:PoisonableRuntime``; it runs in a real device process. The
model's input must be NCHW, RGB, and scaled at most, not shifted.

Files in the folder that ``GW_TEST_STEERING`` names, below the model's name, steer its load: each
load appends a line to ``loads``, and ``fault`` says ``refuse``, ``crash``, ``crash once`` or
``slow``; a file ``describe`` makes the first description crash, and goes. A file that holds the
bytes ``poisoned`` fails every picture, one that holds ``deadly`` crashes on each. No device process
starts while the file named by ``GW_TEST_AWAY_FILE`` exists.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.runtime import ModelDescription, RuntimeOptions
from pipeline.errors import ContractBroken, InvalidSettings

CRASHES = 251
HANGS = 252
RAISES = 253
#: Not the picture's fault, and not the model's: what a defect of ours would look like.
BREAKS_THE_CONTRACT = 254
#: Every batch with such a picture takes SLOW_S.
SLOW = 250

SLOW_S = 0.1
SLOW_LOAD_S = 1.0


#: Written into a file's doc string, they make it fail, or crash on, every picture.
POISONED = b"poisoned"
DEADLY = b"deadly"
_MOODS = (POISONED, DEADLY)


def _steering(card: ModelCard, path: Path) -> Path:
    """Give the folder whose files steer a model's loads."""
    root = os.environ.get("GW_TEST_STEERING")
    return Path(root) / card.name if root else path.parent


class PoisonableRuntime(OnnxRuntime):
    """ONNX Runtime until a poisonous picture comes."""

    def __init__(self, options: RuntimeOptions) -> None:
        if Path(os.environ.get("GW_TEST_AWAY_FILE", "/nonexistent")).exists():
            raise OSError("the device is away")
        super().__init__(options)
        self._scales: dict[str, float] = {}
        self._moods: dict[str, bytes] = {}

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Describe the file, or crash once."""
        fault = _steering(card, path) / "describe"
        if fault.exists():
            fault.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().describe(card, path)

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Load the file, or fail as its neighbour says."""
        steering = _steering(card, path)
        with (steering / "loads").open("a") as loads:
            loads.write(f"{time.monotonic()}\n")
        self._scales[key] = card.input.scale
        content = path.read_bytes()
        self._moods[key] = next((mood for mood in _MOODS if mood in content), b"")
        fault = steering / "fault"
        match fault.read_text() if fault.exists() else "":
            case "refuse":
                raise InvalidSettings("the file says so")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash once":
                fault.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            case "slow":
                time.sleep(SLOW_LOAD_S)
        return super().load(key, card, path)

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch*, or fail the way its worst picture says."""
        reds = {round(float(item[0, 0, 0]) / self._scales[key]) for item in batch}
        if self._moods[key] == POISONED:
            raise ValueError("this file fails every picture")
        if self._moods[key] == DEADLY or CRASHES in reds:
            os.kill(os.getpid(), signal.SIGKILL)
        if HANGS in reds:
            time.sleep(3600)
        if RAISES in reds:
            raise ValueError("a value that the model cannot take")
        if BREAKS_THE_CONTRACT in reds:
            raise ContractBroken("a promise of ours does not hold")
        if SLOW in reds:
            time.sleep(SLOW_S)
        return super().infer(key, batch)
