"""Gears: the sizes that a model was built for, and the shapes that follow from one of them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omfile.aipp_text import AippConfig
    from omfile.facts import OmFile

Gear = tuple[int, ...]

# Bits per element by ACL data type; the rest has 64.
_BITS = {-1: 0, 0: 32, 1: 16, 2: 8, 3: 32, 4: 8, 6: 16, 7: 16, 12: 8, 13: 0, 27: 16, 33: 32, 8: 32}


def all_gears(om: OmFile) -> tuple[Gear, ...]:
    """List the gears, each as the values of the free axes; empty for a static model."""
    gears = om.gears
    return (
        tuple((batch,) for batch in gears.dynamic_batch) or gears.dynamic_hw or gears.dynamic_dims
    )


def largest(om: OmFile) -> Gear:
    """Give the gear that all sizes are for; empty for a static model."""
    return max(all_gears(om), key=prod, default=())


def input_dims(om: OmFile, index: int, gear: Gear) -> tuple[int, ...]:
    """Give the dims of input *index* with its free axes filled."""
    values = list(gear)
    for position, tensor in enumerate(om.inputs):
        free = sum(dim < 0 for dim in tensor.dims)
        taken = values[: free or None] if not om.gears.dynamic_batch else list(gear)
        if position == index:
            filled = iter(taken)
            return tuple(next(filled, 1) if dim < 0 else dim for dim in tensor.dims)
        if free and om.gears.dynamic_dims:
            values = values[free:]
    return ()


def input_bytes(om: OmFile, index: int, gear: Gear) -> int:
    """Give how many bytes of input *index* a run with *gear* reads."""
    tensor = om.inputs[index]
    if not gear or tensor.is_hidden:
        return tensor.size_bytes
    dims = input_dims(om, index, gear)
    config = static_aipp(om, index)
    if config is not None:
        return prod(config.buffer_dims(dims[0], dims[1], dims[2]))
    if om.aipp.mode == "dynamic" and tensor.dims != tensor.dims_v2:
        return tensor.size_bytes
    return prod(dims) * _BITS.get(tensor.dtype, 64) // 8


def output_dims(om: OmFile, index: int, gear: Gear) -> tuple[int, ...]:
    """Give the dims of output *index* for *gear*, where they follow from a batch size."""
    dims = om.outputs[index].dims
    most = max(om.gears.dynamic_batch, default=0)
    if gear and most and dims and dims[0] % most == 0:
        return (dims[0] // most * gear[0], *dims[1:])
    return dims


def output_bytes(om: OmFile, index: int, gear: Gear) -> int:
    """Give how many bytes of output *index* a run with *gear* writes."""
    whole, now = prod(om.outputs[index].dims), prod(output_dims(om, index, gear))
    size_bytes = om.outputs[index].size_bytes
    return size_bytes * now // whole if whole else size_bytes


def items(om: OmFile, gear: Gear) -> int:
    """Give the batch size of a run."""
    if om.gears.dynamic_batch and gear:
        return gear[0]
    dims = om.inputs[0].dims if om.inputs else ()
    return dims[0] if dims and dims[0] > 0 else 1


def joined_dims(om: OmFile, gear: Gear) -> list[int]:
    """Give the dims of all visible inputs one after another, as the dynamic-dims calls count."""
    visible = [index for index, tensor in enumerate(om.inputs) if not tensor.is_hidden]
    return [dim for index in visible for dim in input_dims(om, index, gear)]


def free_axes(om: OmFile) -> list[bool]:
    """Say of each dim of all visible inputs whether it is free."""
    return [dim < 0 for tensor in om.inputs if not tensor.is_hidden for dim in tensor.dims]


def static_aipp(om: OmFile, index: int) -> AippConfig | None:
    """Give the built-in pixel conversion of input *index*, where the file tells it."""
    if om.aipp.mode != "static":
        return None
    return next((c for c in om.aipp.configs if c.related_input_rank == index), None)
