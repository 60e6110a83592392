"""Cards drafted from model files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from onnx import TensorProto

from dispatcher.cards.card import (
    DecoderKind,
    Layout,
    ModelCard,
    ResizeMode,
    RuntimeKind,
    YoloDecoder,
)
from dispatcher.cards.file import read_card
from gw.__main__ import cli
from gw.model_guess import guess
from gw.model_init import draft_card, model_name
from gw.model_inspect import inspect_file
from omfile.aipp_text import AippConfig
from pipeline.errors import InvalidSettings
from tests.unit.gw.models_on_disk import save_om, save_onnx

CELLS_640 = 80 * 80 + 40 * 40 + 20 * 20
PICTURE = ("n", 3, 640, 640)
RGB = AippConfig(input_format="RGB888_U8")


def card_of(path: Path, folder: Path) -> ModelCard:
    """Draft the card of a file and read it as the dispatcher would."""
    place = folder / "drafted"
    place.mkdir()
    (place / "model.toml").write_text(draft_card(inspect_file(path), "drafted"), "utf-8")
    return read_card(place)


@pytest.mark.parametrize(
    ("output", "kind", "classes"),
    [
        (("n", 84, CELLS_640), DecoderKind.YOLO, 80),
        (("n", 3 * CELLS_640, 85), DecoderKind.YOLO, 80),
        (("n", 1000), DecoderKind.CLASSIFICATION, 1000),
        (("n", 1000, 1, 1), DecoderKind.CLASSIFICATION, 1000),
        (("n", 1, 640, 640), DecoderKind.DBNET, 1),
        (("n", 640, 640), DecoderKind.DBNET, 1),
        (("n", 300, 6), DecoderKind.RAW, 0),
        (("n", 84, CELLS_640 + 1), DecoderKind.RAW, 0),
        (("n", 1), DecoderKind.RAW, 0),
        (("n", 1, 160, 160), DecoderKind.RAW, 0),
        (None, DecoderKind.RAW, 0),
    ],
)
def test_the_head_is_told_by_its_shape(
    output: Any, kind: DecoderKind, classes: int, tmp_path: Path
) -> None:
    """A known head is recognised by its numbers, anything else stays raw; the card is valid."""
    path = save_onnx(tmp_path, PICTURE, output)

    found = guess(inspect_file(path))

    assert (found.decoder, found.classes) == (kind, classes)
    card = card_of(path, tmp_path)
    assert card.runtime is RuntimeKind.ONNX
    assert (card.input.width_px, card.input.height_px) == (640, 640)
    assert card.input.layout is Layout.NCHW


def test_the_two_heads_of_yolo_are_told_apart(tmp_path: Path) -> None:
    """Rows with objectness are v5's, columns without it v8's."""
    v5 = card_of(save_onnx(tmp_path, PICTURE, ("n", 3 * CELLS_640, 85)), tmp_path).decoder
    (tmp_path / "drafted" / "model.toml").unlink()
    (tmp_path / "drafted").rmdir()
    v8 = card_of(save_onnx(tmp_path, PICTURE, ("n", 84, CELLS_640)), tmp_path).decoder

    assert isinstance(v5, YoloDecoder)
    assert isinstance(v8, YoloDecoder)
    assert (v5.version, v8.version) == ("v5", "v8")


def test_a_free_size_is_settled_by_what_the_exporter_left(tmp_path: Path) -> None:
    """The file's own size and class names go into the card."""
    names = str({0: "cat", 1: 'a "dog"'})
    path = save_onnx(
        tmp_path,
        ("n", 3, "h", "w"),
        ("n", 6, "anchors"),
        metadata={"imgsz": "[320, 416]", "names": names},
    )

    card = card_of(path, tmp_path)

    assert (card.input.height_px, card.input.width_px) == (320, 416)
    assert card.input.resize is ResizeMode.LETTERBOX
    assert card.rules.labels == ("cat", 'a "dog"')


@pytest.mark.parametrize(
    "names", ["{0: 'a'}", "{0: 'a', 2: 'b'}", "{0: 'a', 1: 'a'}", "['a', 'b']", "{0:", "(" * 9999]
)
def test_names_that_do_not_fit_are_left_out(names: str, tmp_path: Path) -> None:
    """Too few, with a gap, twice the same, or no Python at all: the card names no class."""
    path = save_onnx(
        tmp_path, ("n", 3, "h", "w"), ("n", 6, "anchors"), metadata={"names": names, "imgsz": "[]"}
    )

    card = card_of(path, tmp_path)

    assert card.rules.labels == ()
    assert card.input.width_px == 640


def test_a_text_detector_keeps_its_free_size(tmp_path: Path) -> None:
    """A map of a free size goes with pictures of a free size."""
    card = card_of(save_onnx(tmp_path, ("n", 3, "h", "w"), ("n", 1, "h", "w")), tmp_path)

    assert card.input.resize is ResizeMode.FREE
    assert (card.input.min_side_px, card.input.max_side_px) == (736, 1984)
    assert card.rules.labels == ("text",)


@pytest.mark.parametrize(("operator", "softmax"), [("Softmax", False), ("Relu", True)])
def test_a_softmax_is_not_applied_twice(operator: str, softmax: bool, tmp_path: Path) -> None:
    """A classifier that ends in a softmax is not given another."""
    path = save_onnx(tmp_path, ("n", 3, 224, 224), ("n", 10), operator=operator)

    assert getattr(card_of(path, tmp_path).decoder, "softmax", None) is softmax


def test_a_large_raw_output_is_let_through(tmp_path: Path) -> None:
    """The card allows as many numbers as the model gives."""
    path = save_onnx(tmp_path, ("n", 3, 64, 64), ("n", 2, 100, 100))

    assert getattr(card_of(path, tmp_path).decoder, "max_values", None) == 20_000


def test_an_om_with_gears_batches_up_to_the_largest(tmp_path: Path) -> None:
    """The card of an OM names its runtime and the largest batch it was built for."""
    path = save_om(tmp_path, (-1, 3, 640, 640), (-1, 84, CELLS_640), dynamic_batch=(1, 2, 4))

    card = card_of(path, tmp_path)

    assert card.runtime is RuntimeKind.ACL
    assert card.batching.max_size == 4
    assert isinstance(card.decoder, YoloDecoder)


def test_an_om_with_picture_sizes_is_given_the_largest(tmp_path: Path) -> None:
    """Of several sizes the card takes the one with most pixels."""
    path = save_om(
        tmp_path, (1, 3, -1, -1), (1, 84, CELLS_640), dynamic_hw=((416, 416), (640, 640))
    )

    card = card_of(path, tmp_path)

    assert (card.input.width_px, card.batching.max_size) == (640, 1)
    assert isinstance(card.decoder, YoloDecoder)


def test_pixels_behind_aipp_go_in_as_they_are(tmp_path: Path) -> None:
    """The unit in front of the model takes bytes in NHWC, of the size of its own source."""
    unit = AippConfig(
        input_format="RGB888_U8", src_image_size_w=704, src_image_size_h=672, crop=True
    )
    card = card_of(save_om(tmp_path, (1, 3, 640, 640), (1, 10), aipp=(unit,)), tmp_path)

    assert (card.input.dtype, card.input.layout) == ("uint8", Layout.NHWC)
    assert (card.input.width_px, card.input.height_px) == (704, 672)


def test_nv12_is_recognised_by_its_rows(tmp_path: Path) -> None:
    """One byte a pixel and half as many rows again are luma and colours apart."""
    unit = AippConfig(input_format="YUV420SP_U8")
    card = card_of(save_om(tmp_path, (1, 3, 480, 640), (1, 10), aipp=(unit,)), tmp_path)

    assert (card.input.dtype, card.input.layout) == ("uint8", Layout.NV12)
    assert (card.input.width_px, card.input.height_px) == (640, 480)


def test_dynamic_aipp_is_given_the_usual_values(tmp_path: Path) -> None:
    """Bytes go in, and scale, mean and std stand in the card for the unit to apply."""
    unit = AippConfig(aipp_mode="dynamic", max_src_image_size=8 * 8 * 3)
    card = card_of(save_om(tmp_path, (1, 3, 8, 8), (1, 10), aipp=(unit,)), tmp_path)

    assert (card.input.dtype, card.input.layout) == ("uint8", Layout.NHWC)
    assert card.input.is_normalised


@pytest.mark.parametrize(
    ("aipp", "said"),
    [
        (AippConfig(input_format="YUV400_U8"), "pictures of three channels"),
        (AippConfig(input_format="XRGB8888_U8"), "pictures of three channels"),
    ],
)
def test_a_pixel_unit_that_gw_cannot_feed_is_refused(
    aipp: AippConfig, said: str, tmp_path: Path
) -> None:
    """Other pixels than three bytes each, or NV12, are refused with what gw feeds."""
    path = save_om(tmp_path, (1, 3, 8, 8), (1, 10), aipp=(aipp,))

    with pytest.raises(InvalidSettings, match=said):
        draft_card(inspect_file(path), "x")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"input_shape": ("n", 3, 8, 8), "inputs": 2}, r"takes 2 inputs \(x0, x1\)"),
        ({"input_shape": ("n", 16)}, "three channels"),
        ({"input_shape": ("n", 1, 8, 8)}, "three channels"),
        ({"input_shape": ("n", 3, 8, 8), "dtype": TensorProto.INT64}, "gw feeds float32"),
    ],
)
def test_a_model_that_takes_no_picture_is_refused(
    facts: dict[str, Any], said: str, tmp_path: Path
) -> None:
    """Several inputs, other axes and other types are refused in a sentence."""
    path = save_onnx(tmp_path, output_shape=("n", 10), **facts)

    with pytest.raises(InvalidSettings, match=said):
        draft_card(inspect_file(path), "x")


@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("yolov8n.om", "", "yolov8n"),
        ("My Net (v2).onnx", "", "my-net-v2"),
        ("helmet/model.om", "", "helmet"),
        ("yolov8n.om", "helmets", "helmets"),
    ],
)
def test_the_name_comes_from_the_file(path: str, asked: str, name: str) -> None:
    """Its stem, or its folder where the stem says nothing, in small letters."""
    assert model_name(Path(path), asked) == name


@pytest.mark.parametrize(("path", "asked"), [("模型.om", ""), ("a.om", "../up"), ("a.om", "Upper")])
def test_a_name_that_cannot_be_used_is_refused(path: str, asked: str) -> None:
    """Nothing that is not safe in a path is made up or let through."""
    with pytest.raises(InvalidSettings, match="--name"):
        model_name(Path(path), asked)


def test_a_hostile_file_name_stays_in_its_comment(tmp_path: Path) -> None:
    """A line break in a file's name cannot add a line to the card."""
    path = save_onnx(tmp_path, ("n", 3, 8, 8), ("n", 10))
    path = path.rename(tmp_path / "a\nb = 1.onnx")

    assert "b" not in tomllib.loads(draft_card(inspect_file(path), "x"))


def test_the_command_writes_one_card_and_no_second(tmp_path: Path) -> None:
    """``gw models init`` names the next steps, and never overwrites."""
    path = save_om(tmp_path, (1, 3, 8, 8), (1, 10))
    arguments = ["models", "init", str(path), "--out", str(tmp_path / "gwproc")]

    first = CliRunner().invoke(cli, arguments)
    second = CliRunner().invoke(cli, arguments)

    assert first.exit_code == 0
    assert read_card(tmp_path / "gwproc" / "net").name == "net"
    assert "gw models check" in first.stdout
    assert f"cp {path} " in first.stdout
    assert isinstance(second.exception, InvalidSettings)
    assert "there already" in str(second.exception)
