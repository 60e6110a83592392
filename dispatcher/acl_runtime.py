"""Runs OM files on an Ascend NPU through pyACL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.dvpp.feeder import Feeder
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.model import AclModel
from dispatcher.acl_device.om_facts import describe_file
from dispatcher.acl_device.session import Session
from dispatcher.acl_device.staged import StagedRun, blamed_on_batch
from dispatcher.cards.card import ModelCard, PictureDecoder
from dispatcher.pictures.items import Item
from dispatcher.runtime import (
    DeviceHealth,
    ModelDescription,
    RuntimeOptions,
    TensorSpec,
    check_fit,
)
from pipeline.errors import ContractBroken, ModelFault

# The share of the batch's time after which ACL gives a batch up: so that the driver's own word for
# what went wrong comes out before the supervisor kills the process.
_PATIENCE = 0.9


class AclRuntime:
    """One NPU, opened when constructed. A device that is lost is told as DeviceLost.

    Batches can be staged: see ``dispatcher.runtime.StagingRuntime``.
    """

    def __init__(self, options: RuntimeOptions) -> None:
        self._timeout_s = _PATIENCE * options.infer_timeout_s
        try:
            self._session = Session(options.device_index, timeout_s=self._timeout_s)
        except AclFailure as failure:
            raise failure.on_load() from failure
        self._models: dict[str, AclModel] = {}
        self._feeder: Feeder | None = None

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Say what the file is and takes; the NPU only tells which chip it is."""
        return describe_file(path, self._session.soc_name, card.input)

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Make the model ready under *key*, replacing what was there."""
        description = self.describe(card, path)
        check_fit(card, description)
        self.unload(key)
        try:
            self._open_feeder(card)
            model = AclModel(self._session, path, card.input)
        except AclFailure as failure:
            raise failure.on_load() from failure
        # The device has the last word: a file of an old ATC is vague about its inputs.
        loaded = replace(
            description,
            inputs=model.inputs,
            outputs=model.outputs,
            batch_sizes=model.batch_sizes,
        )
        try:
            check_fit(card, loaded)
        except BaseException:
            model.close()
            raise
        self._models[key] = model
        return loaded

    def unload(self, key: str) -> None:
        """Take the model off the device."""
        model = self._models.pop(key, None)
        if model is not None:
            try:
                model.close()
            except AclFailure as failure:
                raise failure.on_load() from failure

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch* in parts of the model's gears; what runs as padding is never copied back."""
        model = self._model(key)
        outputs = {
            spec.name: np.empty((len(batch), *spec.shape[1:]), spec.dtype) for spec in model.outputs
        }
        for start in range(0, len(batch), model.largest_batch):
            stop = min(len(batch), start + model.largest_batch)
            staged = self.stage(key, list(batch[start:stop]))
            try:
                staged.start()
                staged.wait()
                staged.collect([values[start:stop] for values in outputs.values()])
            finally:
                staged.release()
        return outputs

    def largest_stage(self, key: str) -> int:
        """Say how many items can be staged at once: the largest gear."""
        return self._model(key).largest_batch

    def output_specs(self, key: str) -> Sequence[TensorSpec]:
        """Give the outputs of the model."""
        return self._model(key).outputs

    def stage(self, key: str, items: Sequence[Item]) -> StagedRun:
        """Bring *items* to the device; those that are pictures are decoded there."""
        model = self._model(key)
        if not 0 < len(items) <= model.largest_batch:
            raise ModelFault(f"the model takes 1 to {model.largest_batch} items, not {len(items)}")
        return StagedRun(model, items, self._feeder)

    def adopt_thread(self) -> None:
        """Make the device known to the calling thread."""
        with blamed_on_batch():
            self._session.adopt_thread()

    def health(self) -> DeviceHealth:
        """Say how much memory the NPU has left and how busy it is; it is healthy if it answers."""
        try:
            return DeviceHealth(
                healthy=True,
                memory_free_bytes=self._session.free_memory_bytes(),
                utilization_percent=self._session.utilization_percent(),
                chip=self._session.soc_name,
            )
        except AclFailure as failure:
            raise failure.on_load() from failure

    def close(self) -> None:
        """Unload every model and give the device back."""
        for key in list(self._models):
            self.unload(key)
        if self._feeder is not None:
            self._feeder.close()
        self._session.close()

    def _model(self, key: str) -> AclModel:
        model = self._models.get(key)
        if model is None:
            raise ContractBroken(f"model {key} is not loaded")
        return model

    def _open_feeder(self, card: ModelCard) -> None:
        """Open the picture units for the first model that wants them; raises AclFailure."""
        if card.input.decode is PictureDecoder.DVPP and self._feeder is None:
            self._feeder = Feeder(self._session.run_mode, timeout_s=self._timeout_s)
