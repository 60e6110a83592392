"""Synthetic OMs to read, with defaults for everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from omfile.aipp_text import AippConfig
from omfile.facts import DataType, Format, TensorInfo
from omfile.synthetic import Recipe, pack

GRAPH = b"an ONNX graph, as far as the container cares"
PICTURES = TensorInfo(name="images", dims=(1, 3, 8, 6), format=Format.NCHW)
SCORES = TensorInfo(name="scores", dims=(1, 10))
RGB = AippConfig(input_format="RGB888_U8", var_reci=(0.25, 0.5, 1.0, 1.0))
COUNTS = TensorInfo(name="counts", dims=(4,), dtype=DataType.INT64)


def make_recipe(**facts: Any) -> Recipe:
    """Give a recipe of a small static model, changed by *facts*."""
    return replace(Recipe(name="tiny", inputs=(PICTURES,), outputs=(SCORES,)), **facts)


def make_om(**facts: Any) -> bytes:
    """Pack a small model, changed by *facts*."""
    return pack(GRAPH, make_recipe(**facts))


def free_batch(tensor: TensorInfo) -> TensorInfo:
    """Give *tensor* with a free first axis."""
    return replace(tensor, dims=(-1, *tensor.dims[1:]))


#: One of each kind of file that the reader must understand.
VARIETY: dict[str, bytes] = {
    "plain": make_om(),
    "two inputs": make_om(inputs=(PICTURES, COUNTS)),
    "batch gears": make_om(inputs=(free_batch(PICTURES),), dynamic_batch=(1, 2, 8)),
    "size gears": make_om(
        inputs=(replace(PICTURES, dims=(1, 3, -1, -1)),), dynamic_hw=((8, 6), (16, 12))
    ),
    "dims gears": make_om(
        inputs=(replace(PICTURES, dims=(-1, 3, 8, -1)),), dynamic_dims=((1, 6), (2, 12))
    ),
    "static aipp": make_om(aipp=(RGB,)),
    "dynamic aipp": make_om(aipp=(AippConfig(aipp_mode="dynamic", max_src_image_size=4096),)),
    "narrow table": make_om(old_layout=True),
    "graph alone": make_om(
        without_inout_info=True, inputs=(free_batch(PICTURES),), dynamic_batch=(1, 4)
    ),
    "several models": make_om(submodels=2, table_pad=8),
    "shape range": make_om(
        inputs=(replace(free_batch(PICTURES), ranges=((1, 8), (3, 3), (8, 8), (6, 6))),),
        outputs=(free_batch(SCORES),),
        is_unknown_model=True,
    ),
}
