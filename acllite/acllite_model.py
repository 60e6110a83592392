"""AclLite's model of the old generation: errors are logged, and a failure is None."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acllite import acllite_logger
from acllite.acllite_image import AclLiteImage
from acllite.acllite_utils import AclLiteError
from acllite.loaded_model import DeviceData, LoadedModel, ModelOwner
from dispatcher.acl_device.errors import AclFailure

#: What an input of :meth:`AclLiteModel.execute` may be; the dict has ``data`` and ``size``.
ModelInput = AclLiteImage | NDArray[Any] | dict[str, int]


class AclLiteModel(ModelOwner):
    """Loads the OM file at *model_path*: from the file (*load_type* 0) or through memory (1).

    Raises AclLiteError where ACL refuses it. A file that is missing is only logged, as programs
    expect: then every execution gives None.
    """

    def __init__(self, model_path: str, load_type: int = 0) -> None:
        super().__init__()
        if not Path(model_path).is_file():
            acllite_logger.log_error(f"there is no model file at {model_path}")
            return
        if load_type not in (0, 1):
            acllite_logger.log_error(f"load_type is {load_type}; 0 (file) and 1 (memory) are known")
            return
        self._own(Path(model_path), load_type)

    def execute(
        self, input_list: Iterable[ModelInput] | NDArray[Any] | AclLiteImage
    ) -> list[NDArray[Any]] | None:
        """Run once; give a copy of each output, shaped as the largest gear's, or None on failure.

        *input_list* has one entry per input. Entries of pictures and dicts are used where they lie;
        arrays are copied to the device.
        """
        return self._run(input_list, gear=None)

    def _execute_with_dynamic_batch_size(
        self, input_list: Iterable[ModelInput] | NDArray[Any] | AclLiteImage, batch: int
    ) -> list[NDArray[Any]] | None:
        """Run with the gear *batch*; as :meth:`execute` otherwise."""
        if self._model is not None and batch not in self._model.gears:
            known = ", ".join(map(str, self._model.gears)) or "none"
            acllite_logger.log_error(f"batch {batch} is no gear of this model; its gears: {known}")
            return None
        return self._run(input_list, gear=batch)

    def _run(
        self, input_list: Iterable[ModelInput] | NDArray[Any] | AclLiteImage, *, gear: int | None
    ) -> list[NDArray[Any]] | None:
        if self._model is None:
            acllite_logger.log_error("no model is loaded")
            return None
        given: list[ModelInput] = (
            [input_list] if isinstance(input_list, AclLiteImage) else list(input_list)
        )
        try:
            inputs = self._placed(self._model, given)
            return self._model.run(inputs, gear=gear, trimmed=False) if inputs else None
        except (AclFailure, AclLiteError) as failure:
            acllite_logger.log_error(f"the model was not executed: {failure}")
            return None

    def _placed(self, model: LoadedModel, given: list[ModelInput]) -> list[DeviceData] | None:
        """Give the inputs on the device; None, logged, where they cannot be the model's."""
        sizes = model.visible_sizes
        if len(given) != len(sizes):
            acllite_logger.log_error(
                f"{len(given)} inputs were given, the model takes {len(sizes)}"
            )
            return None
        placed = []
        for index, (item, size) in enumerate(zip(given, sizes, strict=True)):
            data = _on_device(model, index, item)
            if data is None:
                acllite_logger.log_error(f"input {index} is a {type(item).__name__}")
                return None
            if data.size != size and not model.gears:
                acllite_logger.log_warning(
                    f"input {index} has {data.size} bytes, the model takes {size}"
                )
            placed.append(data)
        return placed


def _on_device(model: LoadedModel, index: int, item: ModelInput) -> DeviceData | None:
    match item:
        case AclLiteImage():
            return DeviceData(address=item.data(), size=item.size)
        case np.ndarray():
            return model.copy_in(index, item)
        case {"data": address, "size": size}:
            return DeviceData(address=address, size=size)
    return None
