"""What compiling makes of inputs and outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from omfile.aipp_text import AippConfig
from omfile.as_built import build_inputs, build_outputs
from omfile.errors import InvalidRecipe
from omfile.facts import DataType, Format, Gears
from omfile.synthetic import pack
from tests.unit.omfile.recipes import (
    COUNTS,
    GRAPH,
    PICTURES,
    RGB,
    SCORES,
    free_batch,
    make_recipe,
)

BATCHES = Gears(dynamic_batch=(1, 8, 4))


def test_every_free_first_axis_follows_the_batch() -> None:
    """Sizes are those of the largest batch, whatever the order of the gears."""
    inputs = (free_batch(PICTURES), free_batch(COUNTS))

    pictures, counts, hidden = build_inputs(inputs, BATCHES, ())

    assert pictures.size_bytes == 8 * 3 * 8 * 6 * 4
    assert counts.size_bytes == 8 * 8
    assert (hidden.dims, hidden.dtype, hidden.size_bytes) == ((1,), DataType.INT32, 4)


def test_outputs_have_the_dims_of_the_largest_batch() -> None:
    """An output's first axis is filled; one that has no batch is left alone."""
    first, second = build_outputs((free_batch(SCORES), COUNTS), BATCHES)

    assert (first.dims, first.size_bytes) == ((8, 10), 320)
    assert (second.dims, second.size_bytes) == ((4,), 32)


def test_the_largest_picture_size_is_the_one_with_most_pixels() -> None:
    """Sizes follow the product, not the first number."""
    inputs = (replace(PICTURES, dims=(1, 3, -1, -1)),)
    gears = Gears(dynamic_hw=((100, 1), (20, 20)))

    pictures, hidden = build_inputs(inputs, gears, ())

    assert pictures.size_bytes == 3 * 20 * 20 * 4
    assert hidden.size_bytes == 8


def test_the_pixel_unit_with_batches_turns_layout_and_type() -> None:
    """NCHW floats become NHWC bytes, of the picture's own size where the unit crops."""
    crop = replace(RGB, src_image_size_w=10, src_image_size_h=12, crop=True)

    pictures, _ = build_inputs((free_batch(PICTURES),), BATCHES, (crop,))

    assert (pictures.dims, pictures.dims_v2) == ((-1, 8, 6, 3), (-1, 12, 10, 3))
    assert (pictures.dtype, pictures.format) == (DataType.UINT8, Format.NHWC)
    assert pictures.size_bytes == 8 * 12 * 10 * 3


def test_a_dynamic_unit_has_room_for_the_largest_batch() -> None:
    """Its settings come for each picture of the largest batch; the gears' input stands last."""
    unit = AippConfig(aipp_mode="dynamic", max_src_image_size=9999)

    pictures, settings, gear = build_inputs((free_batch(PICTURES),), BATCHES, (unit,))

    assert pictures.size_bytes == 9999
    assert (settings.name, settings.size_bytes) == ("ascend_dynamic_aipp_data", 64 + 8 * 96)
    assert gear.name == "ascend_mbatch_shape_data"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"dynamic_batch": (1, 2)}, "need -1 on axis 0"),
        ({"dynamic_batch": (2,), "inputs": (free_batch(PICTURES),)}, "2 to 100 gears"),
        ({"dynamic_batch": (2, 2), "inputs": (free_batch(PICTURES),)}, "each once"),
        ({"dynamic_batch": (0, 2), "inputs": (free_batch(PICTURES),)}, "at least 1"),
        ({"dynamic_batch": (1, 2), "dynamic_dims": ((1,), (2,))}, "keep one"),
        ({"dynamic_hw": ((1, 2), (3, 4))}, "0 free axes"),
        (
            {
                "dynamic_hw": ((1, 2), (3, 4)),
                "inputs": (replace(PICTURES, dims=(1, 3, -1, -1)),),
                "outputs": (free_batch(SCORES),),
            },
            "at the largest gear",
        ),
        ({"aipp": (replace(RGB, related_input_rank=1),)}, "input 1 of 1"),
        ({"aipp": (RGB,), "inputs": (COUNTS,)}, "instead of 4"),
    ],
)
def test_what_no_compiler_builds_is_refused(facts: dict[str, Any], said: str) -> None:
    """A recipe that contradicts itself is refused with what to change."""
    with pytest.raises(InvalidRecipe, match=said):
        pack(GRAPH, make_recipe(**facts))
