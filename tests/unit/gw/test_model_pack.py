"""ONNX models put into synthetic OMs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gw.__main__ import cli
from gw.model_pack import PackRequest, pack_emulated, parse_numbers, parse_shapes
from omfile.facts import AippMode, PartitionKind
from omfile.reader import read_om, read_om_file
from pipeline.errors import InvalidSettings
from tests.unit.gw.models_on_disk import external_onnx_bytes, onnx_bytes, save_onnx

FREE = onnx_bytes(("n", 3, 8, 8), ("n", 10))


def request(**facts: Any) -> PackRequest:
    """Ask for a plain model for Ascend310B4, changed by *facts*."""
    return PackRequest(**{"name": "net", "soc_version": "Ascend310B4", "shapes": {}, **facts})


def test_a_free_batch_becomes_one() -> None:
    """Without gears a model is built for a batch of one, as the compiler wants a fixed shape."""
    om = read_om(pack_emulated(FREE, request()))

    assert om.inputs[0].dims == (1, 3, 8, 8)
    assert om.outputs[0].dims == (1, 10)
    assert om.partition(PartitionKind.WEIGHTS) == FREE
    assert om.is_emulated


def test_batches_become_gears() -> None:
    """The free batch stays free, and the largest gear sizes the outputs."""
    om = read_om(pack_emulated(FREE, request(dynamic_batch=(1, 2, 4))))

    assert om.gears.dynamic_batch == (1, 2, 4)
    assert om.inputs[0].dims == (-1, 3, 8, 8)
    assert om.outputs[0].dims == (4, 10)


def test_free_axes_are_given_a_size_by_name() -> None:
    """A model of any size is built for the one that is asked for, with or without gears."""
    data = onnx_bytes(("n", 3, "h", "w"), ("n", 1, "h", "w"))
    shapes = parse_shapes("x0:1,3,32,64;y:1,1,32,64")

    assert read_om(pack_emulated(data, request(shapes=shapes))).inputs[0].dims == (1, 3, 32, 64)
    geared = read_om(pack_emulated(data, request(shapes=shapes, dynamic_batch=(1, 2))))
    assert geared.inputs[0].dims == (-1, 3, 32, 64)
    assert geared.outputs[0].dims == (2, 1, 32, 64)


def test_an_undeclared_shape_is_given_by_name() -> None:
    """An output without a shape takes the one that is asked for."""
    data = onnx_bytes((1, 3, 8, 8), None)

    om = read_om(pack_emulated(data, request(shapes={"y": (1, 10)})))

    assert om.outputs[0].dims == (1, 10)


def test_an_aipp_file_stands_in_front() -> None:
    """The settings are carried, and the input becomes bytes."""
    om = read_om(
        pack_emulated(FREE, request(aipp_text="aipp_op { input_format: RGB888_U8 mean_chn_0: 7 }"))
    )

    assert om.aipp.mode is AippMode.STATIC
    assert om.aipp.configs[0].mean[0] == 7
    assert om.inputs[0].size_bytes == 8 * 8 * 3


@pytest.mark.parametrize(
    ("data", "facts", "said"),
    [
        (onnx_bytes(("n", 3, "h", "w"), ("n", 10)), {}, '--shapes "x0:'),
        (FREE, {"shapes": {"z": (1,)}}, 'no "z".*it has x0, y'),
        (FREE, {"shapes": {"x0": (1, 3, 9, 8)}}, "contradicts"),
        (FREE, {"shapes": {"x0": (1, 3, 8)}}, "4 axes.*given with 3"),
        (FREE, {"dynamic_batch": (4,)}, "2 to 100 gears"),
        (FREE, {"aipp_text": "aipp_op { }"}, "input_format"),
        (onnx_bytes((1, 3, 8, 8), (1, 10)), {"dynamic_batch": (1, 2)}, "axis 0"),
        (external_onnx_bytes(), {}, "export it as one file"),
        (b"hello", {}, "not an ONNX model"),
    ],
)
def test_what_cannot_be_built_is_refused(data: bytes, facts: dict[str, Any], said: str) -> None:
    """Each refusal says what to give or to change."""
    with pytest.raises(InvalidSettings, match=said):
        pack_emulated(data, request(**facts))


@pytest.mark.parametrize("text", ["1,x", "0,1", "1,,2"])
def test_numbers_are_whole_and_positive(text: str) -> None:
    """A list with anything else in it is refused."""
    with pytest.raises(InvalidSettings, match="number"):
        parse_numbers(text)
    with pytest.raises(InvalidSettings, match="number"):
        parse_shapes(f"x:{text}")


def test_a_shape_has_a_name() -> None:
    """Numbers alone belong to no tensor."""
    with pytest.raises(InvalidSettings, match="NAME:1,3,640,640"):
        parse_shapes("1,3,8,8")


def test_the_command_packs_only_what_is_called_emulated(tmp_path: Path) -> None:
    """Without the word it points to ATC; with it, it writes a file that inspect reads."""
    path = save_onnx(tmp_path, ("n", 3, 8, 8), ("n", 10))
    out = tmp_path / "model.om"
    arguments = ["models", "pack", str(path), "--out", str(out), "--batches", "1,2"]

    refused = CliRunner().invoke(cli, arguments)
    done = CliRunner().invoke(cli, [*arguments, "--emulated", "--soc", "Ascend310B1"])
    again = CliRunner().invoke(cli, [*arguments, "--emulated"])

    assert isinstance(refused.exception, InvalidSettings)
    assert "ATC" in str(refused.exception)
    assert done.exit_code == 0
    assert read_om_file(out).soc_version == "Ascend310B1"
    assert isinstance(again.exception, InvalidSettings)
