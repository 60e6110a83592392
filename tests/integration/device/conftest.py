"""Real device processes with a runtime that misbehaves on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dispatcher.device.arena import Block
from dispatcher.device.link import Device, DeviceConfig, Inference
from dispatcher.models.repository import ModelVersion
from dispatcher.runtime import RuntimeOptions
from tests.builders_onnx import make_card
from tests.processes import device_processes, forget_earlier_processes

FAULTY = "tests.fakes.faulty_runtime:FaultyRuntime"
ITEM_VALUES = 16

StartDevice = Callable[..., Awaitable[Device]]


def make_version(path: Path, *, name: str = "tiny", version: int = 1) -> ModelVersion:
    """Give a version whose model file is *path*."""
    return ModelVersion(
        card=make_card(name=name), version=version, path=path, file_sha256="0" * 64, file_bytes=1
    )


def make_faulty(folder: Path, word: str = "good", *, name: str = "tiny") -> ModelVersion:
    """Give a version for the faulty runtime, which does what *word* says when it loads it."""
    path = folder / f"{name}.txt"
    path.write_text(word)
    return make_version(path, name=name)


@pytest.fixture
async def start_device() -> AsyncIterator[StartDevice]:
    """Start devices, and end them after the test; no process may be left then."""
    forget_earlier_processes()
    devices: list[Device] = []

    async def start(runtime: str = FAULTY, *, index: int = 0, **settings: Any) -> Device:
        defaults = {"input_bytes": 1 << 20, "output_bytes": 1 << 20, "start_timeout_s": 30.0}
        config = DeviceConfig(
            runtime=runtime,
            options=RuntimeOptions(device_index=index, threads=1),
            **{**defaults, **settings},
        )
        device = Device(config)
        devices.append(device)
        await device.start()
        return device

    yield start
    for device in devices:
        await device.stop()
    assert device_processes() == []


@pytest.fixture
async def device(start_device: StartDevice, tmp_path: Path) -> Device:
    """Give a device of the faulty runtime that holds the model ``tiny/1``."""
    device = await start_device()
    await device.load(make_faulty(tmp_path), timeout_s=10)
    return device


class Batch:
    """Items in a device's memory, each filled with one value."""

    def __init__(self, block: Block, values: Sequence[float]) -> None:
        array = block.view((len(values), ITEM_VALUES), np.float32)
        array[:] = np.array(values, np.float32)[:, np.newaxis]
        self.items: list[NDArray[Any]] = list(array)
        self._block = block

    def release(self) -> None:
        """Give the memory back."""
        self._block.release()


async def make_batch(device: Device, *values: float) -> Batch:
    """Give a batch of one item for each of *values*."""
    return Batch(await device.inputs.allocate(len(values) * ITEM_VALUES * 4), values)


async def double(device: Device, *values: float, timeout_s: float = 10.0) -> list[float]:
    """Have the faulty runtime double *values* in one batch."""
    batch = await make_batch(device, *values)
    try:
        with await device.infer("tiny/1", batch.items, timeout_s=timeout_s) as inference:
            return first_values(inference)
    finally:
        batch.release()


def first_values(inference: Inference) -> list[float]:
    """Give the first value of each item of the first output."""
    return [float(row.flat[0]) for row in inference.outputs[0].values]


async def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    """Wait until *condition* holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition, not only one with an event
            await asyncio.sleep(0.005)
