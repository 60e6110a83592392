"""A runtime that misbehaves on command: the first value of an item says how.

Named ``tests.fakes.faulty_runtime:FaultyRuntime``; it runs in a real device process.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard
from dispatcher.runtime import DeviceHealth, ModelDescription, RuntimeOptions, TensorSpec
from pipeline.errors import ContractBroken, InvalidSettings

EXITS = 9001.0
CRASHES = 9002.0
HANGS = 9003.0
RAISES = 9004.0
DROPS_AN_ITEM = 9005.0
GIVES_MUCH = 9006.0
SLEEPS = 9007.0

SLEEP_S = 0.2
MUCH = 60_000
EXIT_STATUS = 3


class FaultyRuntime:
    """Doubles its items. Files are read for words: ``refuse``, ``crash``, ``hang``, ``once``."""

    def __init__(self, options: RuntimeOptions) -> None:
        self._device_index = options.device_index
        self._loaded: set[str] = set()

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Give a fixed description."""
        tensor = TensorSpec(name="x", shape=(-1,), dtype="float32")
        return ModelDescription(
            inputs=(tensor,), outputs=(tensor,), batch_sizes=(), memory_bytes=len(path.read_text())
        )

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Do what the file says; ``once`` means that it can be loaded one time only."""
        match path.read_text():
            case "refuse":
                raise InvalidSettings("the file says so")
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(3600)
            case "once":
                path.write_text("refuse")
            case "once-then-hang":
                path.write_text("hang")
        self._loaded.add(key)
        return self.describe(card, path)

    def unload(self, key: str) -> None:
        """Forget *key*."""
        self._loaded.discard(key)

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Double *batch*, or fail the way its worst item says."""
        if key not in self._loaded:
            raise ContractBroken(f"model {key} is not loaded")
        words = {float(item.flat[0]) for item in batch}
        if EXITS in words:
            os._exit(EXIT_STATUS)
        if CRASHES in words:
            os.kill(os.getpid(), signal.SIGSEGV)
        if HANGS in words:
            time.sleep(3600)
        if RAISES in words:
            raise ValueError("a value that the model cannot take")
        if SLEEPS in words:
            time.sleep(SLEEP_S)
        outputs = {"double": batch * 2, "pid": np.full(len(batch), os.getpid())}
        if DROPS_AN_ITEM in words:
            outputs["double"] = outputs["double"][:-1]
        if GIVES_MUCH in words:
            outputs["much"] = np.ones((len(batch), MUCH), np.float32)
        return outputs

    def health(self) -> DeviceHealth:
        """Tell the device's number as its temperature, so that a test can see whose it is."""
        return DeviceHealth(healthy=True, temperature_c=float(self._device_index))

    def close(self) -> None:
        """Give back what is held: nothing."""


class BrokenRuntime:
    """Cannot be constructed: a device without its driver."""

    def __init__(self, options: RuntimeOptions) -> None:
        raise OSError("no driver on this machine")


class DyingRuntime:
    """Ends the process while it is constructed."""

    def __init__(self, options: RuntimeOptions) -> None:
        os._exit(EXIT_STATUS)


class StuckRuntime:
    """Never comes to an end of its construction."""

    def __init__(self, options: RuntimeOptions) -> None:
        time.sleep(3600)


class MoodyRuntime(FaultyRuntime):
    """Starts only while the file named by ``GW_TEST_MOOD_FILE`` says ``well``."""

    def __init__(self, options: RuntimeOptions) -> None:
        if Path(os.environ["GW_TEST_MOOD_FILE"]).read_text() != "well":
            raise OSError("not in the mood")
        super().__init__(options)
