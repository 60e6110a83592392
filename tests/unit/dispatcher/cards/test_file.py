"""Tests of dispatcher/cards/file.py with card_tables.py, card_checks.py and card_values.py."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dispatcher.cards import tables as card_tables
from dispatcher.cards.card import (
    BatchingSpec,
    ColourOrder,
    DecoderKind,
    InputSpec,
    Layout,
    ModelCard,
    PictureDecoder,
    RawDecoder,
    ResizeMode,
    RuntimeKind,
    Task,
    YoloDecoder,
)
from dispatcher.cards.file import InvalidCard, read_card
from pipeline.models.rules import Region, Rules

WHOLE_CARD = """\
[model]
name = "street"
task = "detection"
runtime = "onnx"
description = "Cars and people"

[input]
width_px = 640
height_px = 384
resize = "letterbox"
interpolation = "area"
pad_value = 0
colour = "bgr"
layout = "nhwc"
dtype = "float16"
scale = 1
mean = [1, 2.5, 3]
std = [1, 1, 2]

[decoder]
kind = "yolo"
version = "v11"
score_threshold = 0.4
iou_threshold = 0.6
max_detections = 50

[batching]
max_size = 4
max_delay_ms = 0

[rules]
labels = ["person", "car", "bus"]
min_score = 0.5
include = ["person", "car"]
exclude = ["bus"]
only_in_regions = true

[rules.min_scores]
car = 0.7

[[rules.region]]
name = "gate"
rect = [0.1, 0.2, 0.5, 0.6]
anchor = "bottom_center"
labels = ["person"]

[[rules.region]]
name = "yard"
units = "pixels"
points = [[0, 0], [100, 0], [50, 80]]
"""

RAW_CARD = """\
[model]
name = "street"
task = "raw"
runtime = "onnx"
[input]
width_px = 8
height_px = 8
[decoder]
kind = "raw"
"""


def write_card(root: Path, text: str, *, labels: str | None = None) -> Path:
    """Write a model folder called ``street`` and give it."""
    folder = root / "street"
    folder.mkdir(exist_ok=True)
    (folder / "model.toml").write_text(text)
    if labels is not None:
        (folder / "labels.txt").write_text(labels)
    return folder


def read(root: Path, text: str, *, labels: str | None = None) -> ModelCard:
    """Read *text* as the card of a model called ``street``."""
    return read_card(write_card(root, text, labels=labels))


def problems_of(root: Path, text: str, *, labels: str | None = None) -> list[str]:
    """Give the problems of *text*, each from its line on: ``7: input.resize is ...``."""
    folder = write_card(root, text, labels=labels)
    with pytest.raises(InvalidCard) as caught:
        read_card(folder)
    prefix = f"{folder / 'model.toml'}:"
    assert all(problem.startswith(prefix) for problem in caught.value.problems)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.removeprefix(prefix) for problem in caught.value.problems]


def test_every_key_reaches_the_card(tmp_path: Path) -> None:
    """Each key of a whole card stands in the field of its name."""
    card = read(tmp_path, WHOLE_CARD)

    assert dataclasses.replace(card, settings_sha256="") == ModelCard(
        name="street",
        task=Task.DETECTION,
        runtime=RuntimeKind.ONNX,
        description="Cars and people",
        input=InputSpec(
            width_px=640,
            height_px=384,
            resize=ResizeMode.LETTERBOX,
            interpolation=card.input.interpolation,
            pad_value=0,
            colour=ColourOrder.BGR,
            layout=Layout.NHWC,
            dtype="float16",
            scale=1.0,
            mean=(1.0, 2.5, 3.0),
            std=(1.0, 1.0, 2.0),
        ),
        decoder=YoloDecoder(
            version="v11", score_threshold=0.4, iou_threshold=0.6, max_detections=50
        ),
        batching=BatchingSpec(max_size=4, max_delay_ms=0),
        rules=Rules(
            labels=("person", "car", "bus"),
            min_score=0.5,
            min_scores={"car": 0.7},
            include=("person", "car"),
            exclude=("bus",),
            regions=(
                Region(
                    name="gate",
                    points=((0.1, 0.2), (0.5, 0.2), (0.5, 0.6), (0.1, 0.6)),
                    anchor="bottom_center",
                    labels=("person",),
                ),
                Region(
                    name="yard", points=((0.0, 0.0), (100.0, 0.0), (50.0, 80.0)), units="pixels"
                ),
            ),
            only_in_regions=True,
        ),
        settings_sha256="",
    )
    assert card.input.interpolation == "area"


def test_what_is_left_out_has_the_default_of_the_dataclass(tmp_path: Path) -> None:
    """A card with the required keys alone takes every other value from card.py."""
    card = read(tmp_path, RAW_CARD)

    assert card.input == InputSpec(width_px=8, height_px=8)
    assert card.decoder == RawDecoder()
    assert card.batching == BatchingSpec()
    assert card.rules == Rules()
    assert card.description == ""


def test_the_tables_know_every_field_of_the_card() -> None:
    """A field added to a dataclass without a row in the tables is noticed."""

    def names(of: type) -> set[str]:
        return {field.name for field in dataclasses.fields(of)}

    assert set(card_tables.INPUT) == names(InputSpec)
    assert set(card_tables.BATCHING) == names(BatchingSpec)
    assert set(card_tables.REGION) - {"rect"} == names(Region)
    assert set(card_tables.RULES) - {"labels_file"} == names(Rules) - {"regions"}
    assert set(card_tables.DECODERS) == set(DecoderKind)
    for table in card_tables.DECODERS.values():
        assert set(table.fields) == names(table.type)
    assert {table.task for table in card_tables.DECODERS.values()} == set(Task)


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    """A label file gives one label a line; repeated names stay, as in the ImageNet list."""
    card = read(
        tmp_path,
        RAW_CARD + '[rules]\nlabels_file = "labels.txt"\n',
        labels="crane\ntrain de banlieue\ncrane\n\n",
    )

    assert card.rules.labels == ("crane", "train de banlieue", "crane")


def test_the_settings_hash_follows_the_card_and_the_label_file(tmp_path: Path) -> None:
    """Changing a byte of either file changes the hash, and the same bytes give the same hash."""
    text = RAW_CARD + '[rules]\nlabels_file = "labels.txt"\n'

    first = read(tmp_path, text, labels="a\n").settings_sha256

    assert read(tmp_path, text, labels="a\n").settings_sha256 == first
    assert read(tmp_path, text, labels="b\n").settings_sha256 != first
    assert read(tmp_path, text + "\n", labels="a\n").settings_sha256 != first


def test_uint8_input_takes_pixels_as_they_are(tmp_path: Path) -> None:
    """With dtype uint8 the scale is 1, whatever the default for floats is."""
    card = read(tmp_path, RAW_CARD.replace("width_px", 'dtype = "uint8"\nwidth_px'))

    assert card.input.scale == 1.0


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            'resize = "letterbox"',
            'resize = "squash"',
            '10: input.resize is "squash"; allowed: '
            "stretch, letterbox, letterbox_top_left, center_crop, free",
        ),
        ('"street"', '"road"', '2: model.name is "road", but its folder is "street"'),
        ('task = "detection"\n', "", "1: model.task is missing"),
        ('"onnx"', '"tensorrt"', '4: model.runtime is "tensorrt"; allowed: onnx, acl'),
        ("pad_value = 0", "pad_value = 256", "12: input.pad_value is 256; allowed: "),
        ("pad_value = 0", "pad_value = true", "12: input.pad_value is true; allowed: "),
        ("pad_value = 0", "pad_value = 0.5", "12: input.pad_value is 0.5; allowed: "),
        ("pad_value = 0", "pad_valu = 0", "12: input.pad_valu is unknown; did you mean pad_value?"),
        ("mean = [1, 2.5, 3]", "mean = [1, 2.5]", "17: input.mean is [1, 2.5]; allowed: a list of"),
        ("std = [1, 1, 2]", "std = [1, 0, 2]", "18: input.std[2] is 0; allowed: a number above 0"),
        ("scale = 1", "scale = nan", "16: input.scale is NaN; allowed: a number above 0"),
        ("width_px = 640\n", "", "7: input.width_px is missing; resize"),
        ('"yolo"', '"dbnet"', '21: decoder.kind is "dbnet", but model.task is "detection"'),
        ('"yolo"', '"yolov8"', '21: decoder.kind is "yolov8"; allowed: classification, yolo,'),
        ("= 0.4", "= 1.4", "23: decoder.score_threshold is 1.4; allowed: a number from 0 to 1"),
        ("= 0.6\n", "= -0.1\n", "24: decoder.iou_threshold is -0.1; allowed: a number from 0 to 1"),
        ("max_size = 4", "max_size = 0", "28: batching.max_size is 0; allowed: a whole number"),
        ('["person", "car"]', '["persn"]', '34: rules.include names the unknown label "persn"; kn'),
        ('["person", "car"]', '["bus"]', '35: rules.exclude names "bus", which include keeps'),
        ("car = 0.7", "car = 2", "39: rules.min_scores.car is 2; allowed: a number from 0 to 1"),
        ("car = 0.7", "dog = 0.7", '39: rules.min_scores.dog names the unknown label "dog"; known'),
        ("0.5, 0.6]", "0.5, 1.6]", "43: rules.region[1].rect is outside 0 to 1; give units ="),
        ("0.5, 0.6]", "0.05, 0.6]", "43: rules.region[1].rect must be [x0, y0, x1, y1] with x0"),
        ('"yard"', '"gate"', '48: rules.region[2].name is "gate", which an earlier region has'),
        (
            ", [50, 80]]",
            "]",
            "50: rules.region[2].points is [[0, 0], [100, 0]]; allowed: a list of 3",
        ),
        ("[50, 80]", "[200, 0]", "50: rules.region[2].points has no area"),
        ("[50, 80]", "[50]", "50: rules.region[2].points[3] is [50]; allowed: a list of exactly 2"),
        ("points = ", "polygon = ", "47: rules.region[2] must have either points = "),
        ('labels = ["person"]', 'labels = ["dog"]', "45: rules.region[1].labels names the unknown"),
        ("[batching]", "[batchin]", "27: batchin is unknown; did you mean batching?"),
        ("[batching]", "[[batching]]", "27: batching must be a table: [batching]"),
        ("[input]", "input = 3\n[inputs]", "7: model.input is unknown"),
        ("max_size = 4", "max_size = ", "28: not valid TOML: Invalid value (at line 28"),
        ("max_size = 4", "max_size = 4\nmax_size = 5", "29: not valid TOML: Cannot overwrite"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """One wrong thing in a good card is named with its line and with what is allowed."""
    assert WHOLE_CARD.count(old) >= 1

    problems = problems_of(tmp_path, WHOLE_CARD.replace(old, new, 1))

    assert any(p.startswith(problem) for p in problems), problems


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('resize = "free"', '5: input.min_side_px is missing; resize "free" needs it'),
        ('resize = "free"', '6: input.width_px does not go with resize "free"; leave it out'),
        ("min_side_px = 3", '8: input.min_side_px does not go with resize "stretch"; leave it out'),
        (
            'resize = "free"\nmin_side_px = 9\nmax_side_px = 8',
            "9: input.min_side_px is above max_side_px",
        ),
        ('dtype = "uint8"\nmean = [1, 1, 1]', '9: input.mean does not go with dtype "uint8"'),
        ('dtype = "uint8"\nscale = 1.0', '9: input.scale does not go with dtype "uint8"'),
        ('layout = "nv12"', '8: input.layout is "nv12", which needs dtype "uint8"'),
        ('decode = "dvpp"', '8: input.decode is "dvpp", which needs runtime "acl"'),
        ('decode = "dvpp"', '8: input.decode is "dvpp", which needs dtype "uint8" and layout'),
        (
            'decode = "dvpp"\ninterpolation = "area"',
            '8: input.decode is "dvpp", which scales by its own filter',
        ),
        ('decode = "dvpp"', '6: input.width_px must be even and 10 to 4096 for decode "dvpp"'),
    ],
)
def test_contradictory_input_settings_are_refused(tmp_path: Path, lines: str, problem: str) -> None:
    """Sizes that do not go with the resize mode, and pixel values with raw pixels, are refused."""
    text = RAW_CARD.replace("height_px = 8", f"height_px = 8\n{lines}")

    problems = problems_of(tmp_path, text)

    assert any(p.startswith(problem) for p in problems), problems


@pytest.mark.parametrize(
    ("rules", "labels", "problem"),
    [
        ('labels_file = "labels.txt"', None, '11: rules.labels_file is "labels.txt", which cannot'),
        (
            'labels_file = "labels.txt"',
            "a\n\nb",
            '11: rules.labels_file is "labels.txt", whose line 2',
        ),
        (
            'labels_file = "../labels.txt"',
            "a",
            '11: rules.labels_file is "../labels.txt"; allowed:',
        ),
        (
            'labels_file = "labels.txt"\nlabels = ["a"]',
            "a",
            "11: rules.labels_file does not go with",
        ),
        ("only_in_regions = true", None, "11: rules.only_in_regions is true, but there is no"),
        (
            'include = ["a"]',
            None,
            '11: rules.include names the unknown label "a"; the card gives no',
        ),
        (
            '[[rules.region]]\nname="x"\nrect=[0,0,1,1]',
            None,
            "11: rules.region[1] does not go with",
        ),
        ("region = 3", None, "11: rules.region must be a list of tables: [[rules.region]]"),
        ("region = [3]", None, "11: rules.region[1] must be a table"),
        ("min_scores = 1", None, "11: rules.min_scores is 1; allowed: a table of name = value"),
        ("labels = [1979-05-27]", None, "11: rules.labels[1] is 1979-05-27; allowed: a text"),
    ],
)
def test_contradictory_rules_are_refused(
    tmp_path: Path, rules: str, labels: str | None, problem: str
) -> None:
    """Rules that name no file, no label or no region there is, are refused."""
    problems = problems_of(tmp_path, f"{RAW_CARD}[rules]\n{rules}\n", labels=labels)

    assert any(p.startswith(problem) for p in problems), problems


def test_an_unnamed_class_may_be_included(tmp_path: Path) -> None:
    """A class beyond the labels is called class_<id>, and rules may name it so."""
    card = read(tmp_path, RAW_CARD + '[rules]\nlabels = ["a"]\ninclude = ["a", "class_1"]\n')

    assert card.rules.include == ("a", "class_1")
    assert problems_of(tmp_path, RAW_CARD + '[rules]\nlabels = ["a"]\ninclude = ["class_0"]\n')


def test_refused_labels_do_not_make_every_rule_wrong(tmp_path: Path) -> None:
    """Where the labels are refused, the rules that name labels are not accused as well."""
    for labels in ("labels = [1]", 'labels_file = "absent.txt"'):
        text = RAW_CARD + f'[rules]\n{labels}\ninclude = ["a"]\n'
        assert len(problems_of(tmp_path, text)) == 1


def test_all_problems_are_reported_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A card with several mistakes is refused once, with each of them, from the top."""
    text = WHOLE_CARD.replace('"letterbox"', '"squash"').replace("max_size = 4", "max_size = 0")
    text = text.replace('task = "detection"\n', "").replace("car = 0.7", "car = 7")

    problems = problems_of(tmp_path, text)

    lines = [int(problem.split(":")[0]) for problem in problems]
    assert lines == sorted(lines) == [1, 9, 27, 38]


def test_an_empty_card_names_each_missing_table(tmp_path: Path) -> None:
    """An empty file is told which tables to write."""
    assert problems_of(tmp_path, "") == [
        "1: decoder is missing; write a table [decoder]",
        "1: input is missing; write a table [input]",
        "1: model is missing; write a table [model]",
    ]


def test_a_card_that_is_not_text_is_refused_with_the_line(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are refused where they stand."""
    folder = write_card(tmp_path, RAW_CARD)
    (folder / "model.toml").write_bytes(b"[model]\nname = '\xff'\n")

    with pytest.raises(InvalidCard, match=r"model\.toml:2: is not UTF-8 text"):
        read_card(folder)


def test_a_card_that_is_missing_or_linked_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """A folder without a card, and a card that is a link out of its folder, cannot be read."""
    folder = tmp_path / "street"
    folder.mkdir()
    with pytest.raises(InvalidCard, match="cannot be read: No such file"):
        read_card(folder)

    (tmp_path / "elsewhere.toml").write_text(RAW_CARD)
    (folder / "model.toml").symlink_to(tmp_path / "elsewhere.toml")
    with pytest.raises(InvalidCard, match="is a link to another folder"):
        read_card(folder)


def test_an_npu_card_may_ask_for_more(tmp_path: Path) -> None:
    """With runtime acl, bytes may be NV12, decoded by the NPU, and normalised by dynamic AIPP."""
    lines = 'dtype = "uint8"\nlayout = "nv12"\ndecode = "dvpp"\nmean = [1, 2, 3]\nstd = [4, 5, 6]'
    text = RAW_CARD.replace('runtime = "onnx"', 'runtime = "acl"')
    text = text.replace("width_px = 8", f"{lines}\nwidth_px = 16")

    spec = read(tmp_path, text).input

    assert (spec.layout, spec.decode) == (Layout.NV12, PictureDecoder.DVPP)
    assert (spec.scale, spec.mean, spec.std) == (1.0, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert spec.is_normalised


def test_nv12_needs_even_sides(tmp_path: Path) -> None:
    """Four pixels share their colour, so both sides are even."""
    text = RAW_CARD.replace('runtime = "onnx"', 'runtime = "acl"')
    text = text.replace("width_px = 8", 'dtype = "uint8"\nlayout = "nv12"\nwidth_px = 7')

    with pytest.raises(InvalidCard, match=r'width_px is odd; layout "nv12" needs even sides'):
        read(tmp_path, text)
