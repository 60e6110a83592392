"""Runs OM files on an Ascend NPU through pyACL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.model import AclModel
from dispatcher.acl_device.om_facts import describe_file
from dispatcher.acl_device.session import Session
from dispatcher.cards.card import ModelCard
from dispatcher.runtime import (
    DeviceHealth,
    ModelDescription,
    RuntimeOptions,
    check_fit,
    split_by_gears,
)
from pipeline.errors import ContractBroken, ModelFault

# The share of the batch's time after which ACL gives a batch up: so that the driver's own word for
# what went wrong comes out before the supervisor kills the process.
_PATIENCE = 0.9


class AclRuntime:
    """One NPU, opened when constructed. A device that is lost is told as DeviceLost."""

    def __init__(self, options: RuntimeOptions) -> None:
        try:
            self._session = Session(
                options.device_index, timeout_s=_PATIENCE * options.infer_timeout_s
            )
        except AclFailure as failure:
            raise failure.on_load() from failure
        self._models: dict[str, AclModel] = {}

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Say what the file is and takes; the NPU only tells which chip it is."""
        return describe_file(path, self._session.soc_name)

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Make the model ready under *key*, replacing what was there."""
        description = self.describe(card, path)
        check_fit(card, description)
        self.unload(key)
        try:
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
        model = self._models.get(key)
        if model is None:
            raise ContractBroken(f"model {key} is not loaded")
        wanted = model.inputs[0]
        if batch.shape[1:] != wanted.shape[1:] or batch.dtype != wanted.dtype:
            raise ModelFault(
                f"the model takes {wanted}, not items of {batch.dtype} {list(batch.shape[1:])}"
            )
        outputs = model.new_outputs(len(batch))
        try:
            for start, stop, gear in split_by_gears(len(batch), model.batch_sizes):
                parts = [values[start:stop] for values in outputs.values()]
                model.run(batch[start:stop], gear, parts)
        except AclFailure as failure:
            raise failure.on_infer() from failure
        return outputs

    def health(self) -> DeviceHealth:
        """Say how much memory the NPU has left and how busy it is; it is healthy if it answers."""
        try:
            return DeviceHealth(
                healthy=True,
                memory_free_bytes=self._session.free_memory_bytes(),
                utilization_percent=self._session.utilization_percent(),
            )
        except AclFailure as failure:
            raise failure.on_load() from failure

    def close(self) -> None:
        """Unload every model and give the device back."""
        for key in list(self._models):
            self.unload(key)
        self._session.close()
