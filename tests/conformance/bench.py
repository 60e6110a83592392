"""A runtime under test: in a real device process, with models in the runtime's own format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard, RuntimeKind
from dispatcher.device.link import Device
from dispatcher.models.repository import ModelVersion
from dispatcher.runtime import ModelDescription
from tests.builders_om import EMULATOR, compile_om

#: The settings of the board that the emulated NPU is on; none for the CPU.
BOARDS: Mapping[str, Mapping[str, str]] = {
    "onnx": {},
    "acl on the board": {"ACL_EMULATOR_RUN_MODE": "0", "ACL_EMULATOR_SOC": "310B4"},
    "acl on a host": {"ACL_EMULATOR_RUN_MODE": "1", "ACL_EMULATOR_SOC": "310B1"},
}

GEARS = (1, 2, 4, 8)
TIMEOUT_S = 60.0

#: Saves an ONNX file of a batch size, or of a free one, and gives its path.
Save = Callable[..., Path]


def child_path() -> str:
    """Give the PYTHONPATH of processes that shall find the emulator's ``acl``."""
    return os.pathsep.join([str(EMULATOR), str(EMULATOR.parent)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A started device of one of BOARDS, and a folder for models."""

    board: str
    device: Device
    folder: Path

    @property
    def is_acl(self) -> bool:
        """Whether models are OM files."""
        return self.board != "onnx"

    def save(self, save: Save, name: str, *, batch: int | None = None) -> Path:
        """Write a model for any batch (None), or for one fixed size; give the file.

        "Any" is a free axis for the CPU, and GEARS for the NPU.
        """
        source = self.folder / f"{name}.onnx"
        save(source) if batch is None else save(source, batch=batch)
        if not self.is_acl:
            return source
        target = self.folder / f"{name}.om"
        soc = f"Ascend{BOARDS[self.board]['ACL_EMULATOR_SOC']}"
        if batch is None:
            return compile_om(source, target, soc_version=soc, dynamic_batch=GEARS)
        return compile_om(source, target, soc_version=soc, batch=batch)

    async def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Have the runtime describe a file."""
        return await self.device.describe(card, path, timeout_s=TIMEOUT_S)

    async def load(self, card: ModelCard, path: Path) -> ModelDescription:
        """Load a file as version 1 of the card's model."""
        kind = RuntimeKind.ACL if self.is_acl else RuntimeKind.ONNX
        version = ModelVersion(
            card=replace(card, runtime=kind),
            version=1,
            path=path,
            file_sha256="0" * 64,
            file_bytes=1,
        )
        return await self.device.load(version, timeout_s=TIMEOUT_S)

    async def infer(self, key: str, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Run *batch* and give copies of the outputs, in order."""
        return await run(self.device, key, batch)


async def run(device: Device, key: str, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Run *batch* through the device's shared memory; raises RuntimeError if it was written to."""
    block = await device.inputs.allocate(batch.nbytes)
    try:
        items = block.view(batch.shape, batch.dtype)
        items[...] = batch
        with await device.infer(key, list(items), timeout_s=TIMEOUT_S) as inference:
            outputs = {each.name: each.values.copy() for each in inference.outputs}
        if not np.array_equal(items, batch):
            raise RuntimeError("the runtime wrote to its input")
        return outputs
    finally:
        block.release()
