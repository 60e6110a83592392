"""What compiling makes of a model's inputs and outputs: gears, pixel unit, hidden inputs.

Rules as the API shows them: a free axis of an input is -1 in its dims; sizes, and the dims of
outputs, are those of the largest gear; an input behind the pixel unit is unsigned bytes in NHWC,
with the buffer's real shape in ``dims_v2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod

from omfile.aipp_text import AippConfig
from omfile.errors import InvalidRecipe
from omfile.facts import (
    BATCH_GEAR_INPUT,
    DTYPE_BITS,
    DYNAMIC_AIPP_INPUT,
    DataType,
    Format,
    Gears,
    TensorInfo,
)

_MIN_GEARS = 2
_MAX_GEARS = 100
#: Sizes of the structures that a dynamic pixel unit is set by: one head, one part per picture.
_AIPP_HEAD_BYTES = 64
_AIPP_PICTURE_BYTES = 96
_GEAR_VALUE_BYTES = 4


def build_inputs(
    inputs: Sequence[TensorInfo], gears: Gears, aipp: Sequence[AippConfig]
) -> tuple[TensorInfo, ...]:
    """Give the compiled model's inputs, hidden ones last; raises InvalidRecipe."""
    check_gears(gears)
    largest = _largest_dims(inputs, gears)
    built = [_sized(tensor, dims) for tensor, dims in zip(inputs, largest, strict=True)]
    for config in aipp:
        rank = config.related_input_rank
        if not 0 <= rank < len(built):
            raise InvalidRecipe(
                f"the AIPP settings name input {rank} of {len(built)}: correct related_input_rank"
            )
        built[rank] = _behind_aipp(inputs[rank], largest[rank], config)
    batch = largest[0][0] if largest and largest[0] else 1
    return (*built, *_hidden(gears, aipp, batch))


def build_outputs(outputs: Sequence[TensorInfo], gears: Gears) -> tuple[TensorInfo, ...]:
    """Give the compiled model's outputs; raises InvalidRecipe for a free axis of unknown size."""
    built: list[TensorInfo] = []
    for tensor in outputs:
        dims = tensor.dims
        if gears.dynamic_batch and dims[:1] == (-1,):
            dims = (max(gears.dynamic_batch), *dims[1:])
        if gears and min(dims, default=1) < 0:
            raise InvalidRecipe(
                f'output "{tensor.name}" has a free axis: give its size at the largest gear'
            )
        built.append(replace(_sized(tensor, dims), dims=dims, dims_v2=dims))
    return tuple(built)


def check_gears(gears: Gears) -> None:
    """Raise InvalidRecipe for gears that ATC would refuse."""
    kinds: list[Sequence[object]] = [gears.dynamic_batch, gears.dynamic_hw, gears.dynamic_dims]
    used = [kind for kind in kinds if kind]
    if len(used) > 1:
        raise InvalidRecipe("batch, picture size and dims cannot have gears together: keep one")
    for kind in used:
        if not _MIN_GEARS <= len(kind) <= _MAX_GEARS or len(set(kind)) != len(kind):
            raise InvalidRecipe(f"give {_MIN_GEARS} to {_MAX_GEARS} gears, each once")
    values = (*gears.dynamic_batch, *_flat(gears.dynamic_hw), *_flat(gears.dynamic_dims))
    if any(value < 1 for value in values):
        raise InvalidRecipe("a gear is at least 1")


def _flat(gears: Iterable[Iterable[int]]) -> Iterable[int]:
    return (value for gear in gears for value in gear)


def _largest_dims(inputs: Sequence[TensorInfo], gears: Gears) -> list[tuple[int, ...]]:
    """Fill the free axes of all inputs with the values of the largest gear, in order."""
    free = [(i, axis) for i, t in enumerate(inputs) for axis, dim in enumerate(t.dims) if dim < 0]
    filled = [list(tensor.dims) for tensor in inputs]
    if gears.dynamic_batch:
        if not free or any(axis != 0 for _, axis in free):
            raise InvalidRecipe("batch gears need -1 on axis 0 of an input, and nowhere else")
        values: Sequence[int] = [max(gears.dynamic_batch)] * len(free)
    else:
        values = max(gears.dynamic_hw or gears.dynamic_dims, key=prod, default=())
        if gears and len(values) != len(free):
            raise InvalidRecipe(
                f"a gear has {len(values)} values and the inputs {len(free)} free axes: match them"
            )
    for (index, axis), value in zip(free, values, strict=False):
        filled[index][axis] = value
    return [tuple(dims) for dims in filled]


def _sized(tensor: TensorInfo, largest: tuple[int, ...]) -> TensorInfo:
    """Set the size of the buffer; 0 where an axis stays free, as with shape ranges."""
    is_free = min(largest, default=1) < 0
    bits = 0 if is_free else prod(largest) * DTYPE_BITS.get(tensor.dtype, 0)
    return replace(tensor, dims_v2=tensor.dims_v2 or tensor.dims, size_bytes=bits // 8)


def _behind_aipp(declared: TensorInfo, largest: tuple[int, ...], config: AippConfig) -> TensorInfo:
    if len(declared.dims) != 4:
        raise InvalidRecipe(
            f'input "{declared.name}" is behind AIPP and has {len(declared.dims)} axes instead of 4'
        )
    nhwc = (0, 1, 2, 3) if declared.format == Format.NHWC else (0, 2, 3, 1)
    dims = tuple(declared.dims[axis] for axis in nhwc)
    batch, height_px, width_px, _ = (largest[axis] for axis in nhwc)
    if config.aipp_mode == "dynamic":
        dims_v2, size_bytes = dims, config.max_src_image_size
    else:
        buffer = config.buffer_dims(batch, height_px, width_px)
        dims_v2, size_bytes = (dims[0], *buffer[1:]), prod(buffer)
    return replace(
        declared,
        dims=dims,
        dims_v2=dims_v2,
        dtype=DataType.UINT8,
        format=Format.NHWC,
        size_bytes=size_bytes,
    )


def _hidden(gears: Gears, aipp: Sequence[AippConfig], batch: int) -> tuple[TensorInfo, ...]:
    hidden: list[TensorInfo] = []
    if any(config.aipp_mode == "dynamic" for config in aipp):
        size_bytes = _AIPP_HEAD_BYTES + _AIPP_PICTURE_BYTES * batch
        hidden.append(
            TensorInfo(
                name=DYNAMIC_AIPP_INPUT,
                dims=(size_bytes,),
                dims_v2=(size_bytes,),
                dtype=DataType.UINT8,
                size_bytes=size_bytes,
            )
        )
    if gears:
        values = 1 if gears.dynamic_batch else len((gears.dynamic_hw or gears.dynamic_dims)[0])
        hidden.append(
            TensorInfo(
                name=BATCH_GEAR_INPUT,
                dims=(values,),
                dims_v2=(values,),
                dtype=DataType.INT32,
                size_bytes=values * _GEAR_VALUE_BYTES,
            )
        )
    return tuple(hidden)
