"""Jobs that bring their input as a tensor: checked against the model, copied as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.pictures.geometry import Placement, Rect
from dispatcher.runtime import ModelDescription
from pipeline.errors import JobFault
from pipeline.models.tensors import DATATYPES, TensorFacts

_NOWHERE = Rect(x_px=0, y_px=0, width_px=0, height_px=0)

#: Of an input that is no picture.
NO_PLACEMENT = Placement(
    picture_width_px=0,
    picture_height_px=0,
    input_width_px=0,
    input_height_px=0,
    source=_NOWHERE,
    target=_NOWHERE,
)


class UnfitTensor(JobFault):
    """The tensor passed the door, but the version that runs the job takes another one."""

    code = "unfit_tensor"


def tensor_shape(tensor: TensorFacts, description: ModelDescription) -> tuple[int, ...]:
    """Give the shape of a job's input, without the batch axis; raises UnfitTensor."""
    (wanted,) = description.inputs
    is_fit = len(tensor.shape) == len(wanted.shape) - 1 and all(
        size > 0 and free in (-1, size)
        for free, size in zip(wanted.shape[1:], tensor.shape, strict=True)
    )
    if not is_fit or DATATYPES[tensor.datatype] != wanted.dtype:
        raise UnfitTensor(
            f"the model takes {wanted}, not {tensor.datatype} {list(tensor.shape)} for each item"
        )
    return tensor.shape


def copy_tensor(data: bytes, out: NDArray[Any]) -> None:
    """Copy the values in *data* into *out*, C-contiguous; raises UnfitTensor for another size."""
    if len(data) != out.nbytes:
        raise UnfitTensor(f"the tensor has {len(data)} bytes, not {out.nbytes}")
    out.reshape(-1).view(np.uint8)[...] = np.frombuffer(data, np.uint8)
