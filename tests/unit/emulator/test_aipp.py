"""The pixel unit in front of a model: built in, and set at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from omfile.aipp_text import AippConfig
from tests.unit.emulator.board import misuse
from tests.unit.emulator.models import doubling_om
from tests.unit.emulator.programs import Loaded, Program

FULL_RANGE = (256, 0, 359, 256, -88, -183, 256, 454, 0)


def _pixels(*shape: int) -> Any:
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)


def _planes(loaded: Loaded, height: int, width: int, batch: int = 1) -> Any:
    """Give what the model saw, as (H, W, 3): its output is twice that and one."""
    return (loaded.get((batch, 3, height, width)).transpose(0, 2, 3, 1) - 1) / 2


def test_built_in_rgb_is_normalised(program: Program) -> None:
    """Mean and factor are taken channel by channel, and the layout becomes the graph's."""
    program.start()
    config = AippConfig(
        input_format="RGB888_U8",
        src_image_size_w=8,
        src_image_size_h=4,
        mean=(1, 2, 3, 0),
        var_reci=(0.5, 0.25, 2.0, 1.0),
    )
    loaded = program.load(doubling_om((1, 3, 4, 8), aipp=(config,)))
    picture = _pixels(1, 4, 8, 3)
    loaded.put(picture)
    assert loaded.execute() == 0
    expected = (picture.astype(np.float32) - [1, 2, 3]) * [0.5, 0.25, 2.0]
    np.testing.assert_allclose(_planes(loaded, 4, 8), expected, rtol=1e-6)


def test_built_in_channel_swap_and_crop(program: Program) -> None:
    """Red and blue change places, and only the region is taken."""
    program.start()
    config = AippConfig(
        input_format="RGB888_U8",
        src_image_size_w=8,
        src_image_size_h=6,
        rbuv_swap_switch=True,
        crop=True,
        load_start_pos_w=2,
        load_start_pos_h=1,
        crop_size_w=4,
        crop_size_h=3,
    )
    loaded = program.load(doubling_om((1, 3, 3, 4), aipp=(config,)))
    picture = _pixels(1, 6, 8, 3)
    loaded.put(picture)
    assert loaded.execute() == 0
    np.testing.assert_array_equal(_planes(loaded, 3, 4), picture[:, 1:4, 2:6, ::-1])


def test_built_in_padding(program: Program) -> None:
    """The border has its value, and is not normalised."""
    program.start()
    config = AippConfig(
        input_format="RGB888_U8",
        src_image_size_w=4,
        src_image_size_h=2,
        mean=(5, 5, 5, 0),
        padding=True,
        left_padding_size=1,
        right_padding_size=1,
        top_padding_size=1,
        bottom_padding_size=1,
        padding_value=9.0,
    )
    loaded = program.load(doubling_om((1, 3, 4, 6), aipp=(config,)))
    loaded.put(_pixels(1, 2, 4, 3))
    assert loaded.execute() == 0
    planes = _planes(loaded, 4, 6)[0]
    assert (planes[0] == 9).all()
    assert (planes[:, 0] == 9).all()
    np.testing.assert_array_equal(planes[1:3, 1:5], _pixels(2, 4, 3).astype(np.float32) - 5)


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((128, 128, 128), (128, 128, 128)),
        ((76, 85, 255), (254, 0, 0)),
        ((255, 128, 128), (255,) * 3),
    ],
)
def test_built_in_colour_conversion(
    program: Program, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    """NV12 becomes RGB with the vendor's full-range matrix."""
    program.start()
    config = AippConfig(
        input_format="YUV420SP_U8",
        src_image_size_w=4,
        src_image_size_h=4,
        csc_switch=True,
        matrix=FULL_RANGE,
        input_bias=(0, 128, 128),
    )
    loaded = program.load(doubling_om((1, 3, 4, 4), aipp=(config,)))
    raw = np.concatenate([np.full(16, yuv[0]), np.tile(yuv[1:], 4)]).astype(np.uint8)
    loaded.put(raw)
    assert loaded.execute() == 0
    assert np.abs(_planes(loaded, 4, 4) - rgb).max() <= 1


class Dynamic:
    """A model whose pixel unit is set at run time."""

    def __init__(self, program: Program, batch: int = 1) -> None:
        self.acl = acl = program.start()
        config = AippConfig(aipp_mode="dynamic", max_src_image_size=batch * 8 * 8 * 3)
        self.loaded = program.load(doubling_om((batch, 3, 4, 4), aipp=(config,)))
        self.aipp = acl.mdl.create_aipp(batch)
        mdl = acl.mdl
        assert mdl.set_aipp_input_format(self.aipp, 3) == 0
        assert mdl.set_aipp_src_image_size(self.aipp, 8, 8) == 0
        for index in range(batch):
            assert mdl.set_aipp_crop_params(self.aipp, 1, 2 * index, 0, 4, 4, index) == 0

    def give(self) -> int:
        """Hand the settings over."""
        mdl, loaded = self.acl.mdl, self.loaded
        index, code = mdl.get_input_index_by_name(loaded.desc, "ascend_dynamic_aipp_data")
        assert code == 0
        return int(mdl.set_input_aipp(loaded.number, loaded.inputs, index, self.aipp))

    def close(self) -> None:
        """Free the settings."""
        assert self.acl.mdl.destroy_aipp(self.aipp) == 0


def test_settings_at_run_time_take_each_picture_on_its_own(program: Program) -> None:
    """Every picture of the batch has its own crop, mean and factor."""
    dynamic = Dynamic(program, batch=2)
    mdl = dynamic.acl.mdl
    assert mdl.set_aipp_dtc_pixel_mean(dynamic.aipp, 1, 2, 3, 0, 1) == 0
    assert mdl.set_aipp_pixel_var_reci(dynamic.aipp, 0.5, 0.5, 0.5, 1, 1) == 0
    assert dynamic.give() == 0
    pictures = np.random.default_rng(7).integers(0, 256, (2, 8, 8, 3), np.uint8)
    dynamic.loaded.put(pictures)
    assert dynamic.loaded.execute() == 0
    planes = _planes(dynamic.loaded, 4, 4, 2)
    np.testing.assert_array_equal(planes[0], pictures[0, :4, :4])
    np.testing.assert_allclose(planes[1], (pictures[1, :4, 2:6] - np.array([1.0, 2, 3])) * 0.5)
    dynamic.close()


def test_settings_at_run_time_convert_colours(program: Program) -> None:
    """Seventeen numbers: a switch, the matrix, what comes after it and what before."""
    dynamic = Dynamic(program)
    grey = (76, 150, 30, 0, 0, 0, 0, 0, 0)
    mdl = dynamic.acl.mdl
    assert mdl.set_aipp_csc_params(dynamic.aipp, 1, *grey, 0, 0, 0, 0, 0, 0) == 0
    assert dynamic.give() == 0
    dynamic.loaded.put(np.full((8, 8, 3), 100, np.uint8))
    assert dynamic.loaded.execute() == 0
    planes = _planes(dynamic.loaded, 4, 4)
    assert (planes[..., 0] == 100).all()
    assert (planes[..., 1:] == 0).all()
    dynamic.close()


def test_settings_at_run_time_must_be_given(program: Program) -> None:
    """Running without them is a finding."""
    dynamic = Dynamic(program)
    with pytest.raises(misuse(), match="ascend_dynamic_aipp_data was not filled"):
        dynamic.loaded.execute()


def test_settings_must_be_for_the_whole_batch(program: Program) -> None:
    """The number of pictures is that of the largest batch, the size within the maximum."""
    dynamic = Dynamic(program, batch=2)
    mdl = dynamic.acl.mdl
    assert mdl.set_aipp_src_image_size(dynamic.aipp, 4096, 9) == 0
    assert dynamic.give() == 145000
    short = mdl.create_aipp(1)
    loaded = dynamic.loaded
    assert mdl.set_input_aipp(loaded.number, loaded.inputs, 1, short) == 145000
    assert mdl.create_aipp(0) == 0
    assert mdl.destroy_aipp(short) == 0
    dynamic.close()


def test_settings_are_checked(program: Program) -> None:
    """Impossible values are 100000, and a model without the unit is 145015."""
    dynamic = Dynamic(program)
    mdl, aipp = dynamic.acl.mdl, dynamic.aipp
    assert mdl.set_aipp_input_format(aipp, 99) == 100000
    assert mdl.set_aipp_src_image_size(aipp, 1, 9) == 100000
    assert mdl.set_aipp_padding_params(aipp, 1, 33, 0, 0, 0, 0) == 100000
    assert mdl.set_aipp_padding_params(aipp, 0, 1, 0, 0, 0, 0) == 0
    assert mdl.set_aipp_dtc_pixel_min(aipp, 0.5, 0, 0, 0, 9) == 100000
    assert mdl.set_aipp_dtc_pixel_min(aipp, 0.5, 0, 0, 0, 0) == 0
    assert mdl.set_aipp_rbuv_swap_switch(aipp, 0) == mdl.set_aipp_ax_swap_switch(aipp, 0) == 0
    static = program.load(name="static.om")
    assert mdl.set_input_aipp(static.number, static.inputs, 0, aipp) == 145015
    assert mdl.get_first_aipp_info(static.number, 0) == (None, 145015)
    dynamic.close()


def test_the_kind_of_unit_can_be_asked_for(program: Program) -> None:
    """A unit set at run time is type 2, and its own input type 3."""
    dynamic = Dynamic(program)
    mdl, number = dynamic.acl.mdl, dynamic.loaded.number
    assert mdl.get_aipp_type(number, 0) == (2, 1, 0)
    assert mdl.get_aipp_type(number, 1) == (3, 1, 0)
    assert mdl.get_aipp_type(number, 5)[2] == 100000
    dynamic.close()


def test_the_hidden_input_has_the_published_size(program: Program) -> None:
    """64 bytes and 96 for each picture."""
    dynamic = Dynamic(program, batch=2)
    assert dynamic.acl.mdl.get_input_size_by_index(dynamic.loaded.desc, 1) == 64 + 96 * 2
    dynamic.close()
