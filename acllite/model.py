"""AclLite's model of the newer generation: it raises, and picks the gear from its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from acllite.acllite_utils import AclLiteError
from acllite.loaded_model import DeviceData, LoadedModel, ModelOwner
from dispatcher.acl_device.errors import AclFailure


class AclLiteModel(ModelOwner):
    """Loads the OM file at *model_path*: from the file (*load_type* 0) or through memory (1).

    Raises FileNotFoundError, ValueError for another *load_type*, or AclLiteError.
    """

    def __init__(self, model_path: str, load_type: int = 0) -> None:
        super().__init__()
        if not Path(model_path).is_file():
            raise FileNotFoundError(f"there is no model file at {model_path}")
        if load_type not in (0, 1):
            raise ValueError(f"load_type is {load_type}; 0 (file) and 1 (memory) are known")
        model = self._own(Path(model_path), load_type)
        self.batch_sizes: list[int] = list(model.gears)

    def execute(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once with the batch of the inputs' first axis; give each output with that batch.

        Raises ValueError where the inputs are not the model's, RuntimeError where it is destroyed,
        and AclLiteError.
        """
        model = self._model
        if model is None:
            raise RuntimeError("the model has been destroyed")
        sizes = model.visible_sizes
        if len(inputs) != len(sizes):
            raise ValueError(f"{len(inputs)} inputs were given, the model takes {len(sizes)}")
        gear = self._gear(inputs)
        try:
            placed = [
                self._placed(model, index, values, size, gear)
                for index, (values, size) in enumerate(zip(inputs, sizes, strict=True))
            ]
            return model.run(placed, gear=gear, trimmed=True)
        except AclFailure as failure:
            raise AclLiteError.of(failure) from failure

    def _gear(self, inputs: Sequence[NDArray[Any]]) -> int | None:
        if not self.batch_sizes:
            return None
        batches = {values.shape[0] if values.ndim else 0 for values in inputs}
        if len(batches) != 1 or not batches <= set(self.batch_sizes):
            raise ValueError(
                f"the inputs have batches of {sorted(batches)}; this model runs {self.batch_sizes}"
            )
        return batches.pop()

    def _placed(
        self, model: LoadedModel, index: int, values: NDArray[Any], size: int, gear: int | None
    ) -> DeviceData:
        wanted = size if gear is None else size // max(self.batch_sizes) * gear
        if values.nbytes != wanted:
            raise ValueError(f"input {index} has {values.nbytes} bytes, the model takes {wanted}")
        return model.copy_in(index, values)
