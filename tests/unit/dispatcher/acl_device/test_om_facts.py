"""Tests of dispatcher/acl_device/om_facts.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatcher.acl_device.om_facts import describe_file
from dispatcher.cards.card import InputSpec, Layout
from dispatcher.runtime import TensorSpec
from omfile.aipp_text import AippConfig
from omfile.facts import DataType, TensorInfo
from pipeline.errors import InvalidSettings
from tests.unit.omfile.recipes import PICTURES, RGB, SCORES, VARIETY, free_batch, make_om

SPEC = InputSpec(width_px=6, height_px=8)
NV12 = InputSpec(width_px=6, height_px=8, dtype="uint8", layout=Layout.NV12, scale=1.0)


def save(folder: Path, om: bytes) -> Path:
    """Write an OM."""
    path = folder / "model.om"
    path.write_bytes(om)
    return path


def test_a_static_model_has_one_batch_size(tmp_path: Path) -> None:
    """Inputs and outputs are as declared, and the batch axis is the only gear."""
    description = describe_file(save(tmp_path, VARIETY["plain"]), "Ascend310B4", SPEC)

    assert description.inputs == (TensorSpec(name="images", shape=(1, 3, 8, 6), dtype="float32"),)
    assert description.outputs == (TensorSpec(name="scores", shape=(1, 10), dtype="float32"),)
    assert description.batch_sizes == (1,)


def test_gears_are_batch_sizes(tmp_path: Path) -> None:
    """Gears come in order, the batch is free on both sides, and the hidden input is not shown."""
    om = make_om(
        inputs=(free_batch(PICTURES),), outputs=(free_batch(SCORES),), dynamic_batch=(8, 1, 2)
    )

    description = describe_file(save(tmp_path, om), "", SPEC)

    assert [spec.shape for spec in description.inputs] == [(-1, 3, 8, 6)]
    assert [spec.shape for spec in description.outputs] == [(-1, 10)]
    assert description.batch_sizes == (1, 2, 8)


def test_a_model_behind_aipp_takes_bytes(tmp_path: Path) -> None:
    """The input is what the buffer holds: uint8, three bytes a pixel, height before width."""
    description = describe_file(save(tmp_path, VARIETY["static aipp"]), "", SPEC)

    assert description.inputs == (TensorSpec(name="images", shape=(1, 8, 6, 3), dtype="uint8"),)


def test_a_model_behind_aipp_takes_nv12(tmp_path: Path) -> None:
    """A card of NV12 pictures fits static AIPP of YUV420SP, and dynamic AIPP set to it."""
    static = make_om(aipp=(AippConfig(input_format="YUV420SP_U8"),))
    dynamic = make_om(aipp=(AippConfig(aipp_mode="dynamic", max_src_image_size=8 * 6 * 3),))

    for om in (static, dynamic):
        description = describe_file(save(tmp_path, om), "", NV12)
        assert description.inputs[0].shape == (1, 12, 6, 1)
    assert describe_file(save(tmp_path, dynamic), "", SPEC).inputs[0].shape == (1, 8, 6, 3)


def test_only_dynamic_aipp_normalises_bytes(tmp_path: Path) -> None:
    """A card that normalises uint8 pixels is refused where the file could not do it."""
    normalised = replace(NV12, layout=Layout.NHWC, mean=(0.5, 0.5, 0.5))
    dynamic = make_om(aipp=(AippConfig(aipp_mode="dynamic", max_src_image_size=8 * 6 * 3),))

    describe_file(save(tmp_path, dynamic), "", normalised)
    for om in (VARIETY["plain"], VARIETY["static aipp"]):
        with pytest.raises(InvalidSettings, match="no dynamic AIPP that could apply them"):
            describe_file(save(tmp_path, om), "", normalised)


def test_memory_is_work_and_weights_and_buffers(tmp_path: Path) -> None:
    """The estimate adds up what the file tells; a file that tells nothing counts as weights."""
    # Two batches have room: one runs while the next is brought there.
    buffers_bytes = 2 * (3 * 8 * 6 + 10) * 4
    told = save(tmp_path, make_om(work_bytes=5_000_000, weight_bytes=3_000_000))

    assert describe_file(told, "", SPEC).memory_bytes == 8_000_000 + buffers_bytes


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"soc_version": "Ascend310P3"}, "built for Ascend310P3 and the device is Ascend310B4"),
        (
            {
                "inputs": (replace(PICTURES, dims=(1, 3, -1, -1)),),
                "dynamic_hw": ((8, 6), (16, 12)),
            },
            "gears of picture size or of dims, which gw does not change",
        ),
        (
            {
                "inputs": (replace(PICTURES, dims=(-1, 3, 8, -1)),),
                "dynamic_dims": ((1, 6), (2, 12)),
            },
            "gears of picture size or of dims, which gw does not change",
        ),
        (
            {"is_unknown_model": True},
            'built with ranges of shapes.*--dynamic_batch_size="1,2,4,8"',
        ),
        (
            {"aipp": (AippConfig(input_format="YUV420SP_U8"),)},
            r"AIPP takes pictures of shape \[1, 12, 6, 1\].*layout = \"nv12\" with YUV420SP_U8",
        ),
        (
            {"aipp": (AippConfig(input_format="XRGB8888_U8"),)},
            r"AIPP takes pictures of shape \[1, 8, 6, 4\].*input_format: RGB888_U8",
        ),
        (
            {"outputs": (replace(SCORES, dtype=DataType.BF16),)},
            "its output scores is bf16, which gw cannot read.*--output_type=FP32",
        ),
    ],
)
def test_what_gw_cannot_run_is_refused_with_what_to_do(
    tmp_path: Path, facts: dict[str, Any], sentence: str
) -> None:
    """Each kind of file that ACL might load and gw cannot feed has a sentence of its own."""
    path = save(tmp_path, make_om(**facts))

    with pytest.raises(InvalidSettings, match=rf"model\.om cannot be used: .*{sentence}"):
        describe_file(path, "Ascend310B4", SPEC)


def test_an_old_file_describes_itself_by_its_graph(tmp_path: Path) -> None:
    """Without the list of inputs and outputs, graph and ATC's command line tell them."""
    description = describe_file(save(tmp_path, VARIETY["graph alone"]), "", SPEC)

    assert [spec.name for spec in description.inputs] == ["images"]
    assert description.batch_sizes == (1, 4)


def test_two_inputs_are_described(tmp_path: Path) -> None:
    """What the card cannot feed is still told in full: the comparison with it refuses."""
    two = (PICTURES, TensorInfo(name="threshold", dims=(1,)))

    description = describe_file(save(tmp_path, make_om(inputs=two, aipp=(RGB,))), "", SPEC)

    assert [(spec.name, spec.dtype) for spec in description.inputs] == [
        ("images", "uint8"),
        ("threshold", "float32"),
    ]
