"""Business rules applied to findings."""

from __future__ import annotations

import math

import pytest

from pipeline.models.findings import ClassScore, Detection, Findings, NamedTensor, TextRegion
from pipeline.models.rules import Region, Rules
from postprocess.judgement import Judgement, judge

LABELS = ("head", "helmet", "vest")

LEFT = Region(name="left", points=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
RIGHT = Region(name="right", points=((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)))

HEAD_LEFT = Detection(class_id=0, score=0.9, box=(10.0, 10.0, 20.0, 20.0))
HELMET_LEFT = Detection(class_id=1, score=0.5, box=(30.0, 10.0, 40.04, 20.06))
HEAD_RIGHT = Detection(class_id=0, score=0.3, box=(80.0, 10.0, 90.0, 20.0))


def judge_detections(rules: Rules, *detections: Detection) -> Judgement:
    """Judge detections in a picture of 100 by 50 pixels."""
    findings = Findings(kind="detections", detections=detections)
    return judge(findings, rules, width_px=100, height_px=50)


def labels(judgement: Judgement) -> list[str]:
    """Give the labels of what is left."""
    return [item["label"] for item in judgement.items]


def test_without_rules_everything_stays() -> None:
    """Findings come as items in their order, rounded, with their counts."""
    judgement = judge_detections(Rules(labels=LABELS), HEAD_LEFT, HELMET_LEFT, HEAD_RIGHT)

    assert judgement.items[1] == {
        "label": "helmet",
        "class_id": 1,
        "score": 0.5,
        "box": [30.0, 10.0, 40.0, 20.1],
    }
    assert labels(judgement) == ["head", "helmet", "head"]
    assert judgement.by_label == {"head": 2, "helmet": 1}
    assert judgement.by_region == {}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (Rules(labels=LABELS, min_score=0.5), ["head", "helmet"]),
        (Rules(labels=LABELS, min_score=0.5, min_scores={"helmet": 0.6}), ["head"]),
        (Rules(labels=LABELS, min_score=0.5, min_scores={"head": 0.1}), ["head", "helmet", "head"]),
        (Rules(labels=LABELS, include=("helmet", "vest")), ["helmet"]),
        (Rules(labels=LABELS, exclude=("head",)), ["helmet"]),
        (Rules(labels=LABELS, include=("head",), exclude=("head",)), []),
        (Rules(include=("class_1",)), ["class_1"]),
    ],
)
def test_scores_and_labels_decide_what_stays(rules: Rules, left: list[str]) -> None:
    """A label's own least score goes before the general one; excluding goes before including."""
    assert labels(judge_detections(rules, HEAD_LEFT, HELMET_LEFT, HEAD_RIGHT)) == left


def test_regions_are_counted_by_label() -> None:
    """Each item names its regions; every region is counted, also an empty one."""
    empty = Region(name="door", points=((0.4, 0.9), (0.6, 0.9), (0.5, 1.0)))
    rules = Rules(labels=LABELS, regions=(LEFT, RIGHT, empty))

    judgement = judge_detections(rules, HEAD_LEFT, HELMET_LEFT, HEAD_RIGHT)

    assert [item["regions"] for item in judgement.items] == [["left"], ["left"], ["right"]]
    assert judgement.by_region == {
        "left": {"head": 1, "helmet": 1},
        "right": {"head": 1},
        "door": {},
    }


def test_an_item_in_two_regions_is_counted_in_both() -> None:
    """Regions may overlap; the item is still one item."""
    whole = Region(name="all", points=((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))

    judgement = judge_detections(Rules(labels=LABELS, regions=(LEFT, whole)), HEAD_LEFT)

    assert judgement.items[0]["regions"] == ["left", "all"]
    assert judgement.by_label == {"head": 1}
    assert judgement.by_region == {"left": {"head": 1}, "all": {"head": 1}}


def test_a_region_may_be_for_some_labels_only() -> None:
    """Another label is not in it, wherever it lies."""
    helmets = Region(name="helmets", points=LEFT.points, labels=("helmet",))

    judgement = judge_detections(Rules(labels=LABELS, regions=(helmets,)), HEAD_LEFT, HELMET_LEFT)

    assert [item["regions"] for item in judgement.items] == [[], ["helmets"]]


def test_only_in_regions_drops_the_rest() -> None:
    """Outside every region nothing stays; what was dropped is in no count."""
    rules = Rules(labels=LABELS, regions=(RIGHT,), only_in_regions=True)

    judgement = judge_detections(rules, HEAD_LEFT, HELMET_LEFT, HEAD_RIGHT)

    assert labels(judgement) == ["head"]
    assert judgement.by_label == {"head": 1}
    assert judgement.by_region == {"right": {"head": 1}}


def test_only_in_regions_without_regions_drops_nothing() -> None:
    """The switch speaks about regions; where there are none it says nothing."""
    judgement = judge_detections(Rules(labels=LABELS, only_in_regions=True), HEAD_LEFT)

    assert labels(judgement) == ["head"]


def test_classes_have_no_place() -> None:
    """A classification is filtered by score and label; regions do not concern it."""
    findings = Findings(
        kind="classes",
        classes=(ClassScore(class_id=1, score=0.87654), ClassScore(class_id=2, score=0.1)),
    )
    rules = Rules(labels=LABELS, min_score=0.2, regions=(LEFT,), only_in_regions=True)

    judgement = judge(findings, rules, width_px=100, height_px=50)

    assert judgement.items == ({"label": "helmet", "class_id": 1, "score": 0.8765},)
    assert judgement.by_label == {"helmet": 1}
    assert judgement.by_region == {"left": {}}


def test_a_text_region_lies_where_its_bounds_do() -> None:
    """A quad counts by the box around it, under the one label that text has."""
    findings = Findings(
        kind="text_regions",
        text_regions=(
            TextRegion(score=0.8, quad=((10, 10), (30, 12), (30, 22.04), (10, 20))),
            TextRegion(score=0.8, quad=((70, 10), (90, 10), (90, 20), (70, 20))),
        ),
    )
    rules = Rules(regions=(LEFT,), only_in_regions=True, include=("text",))

    judgement = judge(findings, rules, width_px=100, height_px=50)

    assert judgement.items == (
        {
            "label": "text",
            "score": 0.8,
            "quad": [[10, 10], [30, 12], [30, 22.0], [10, 20]],
            "regions": ["left"],
        },
    )
    assert judgement.by_region == {"left": {"text": 1}}


def test_tensors_pass_as_they_are() -> None:
    """Rules say nothing about tensors; what is not a finite number becomes null."""
    findings = Findings(
        kind="tensors",
        tensors=(
            NamedTensor(
                name="out",
                shape=(2, 2),
                dtype="float32",
                values=(1.5, math.nan, math.inf, -math.inf),
            ),
        ),
    )
    rules = Rules(min_score=0.9, include=("a",), regions=(LEFT,), only_in_regions=True)

    judgement = judge(findings, rules, width_px=1, height_px=1)

    assert judgement.items == (
        {"name": "out", "shape": [2, 2], "dtype": "float32", "values": [1.5, None, None, None]},
    )
    assert judgement.by_label == {}


def test_no_findings_are_a_judgement_too() -> None:
    """An empty picture has every region, all empty."""
    judgement = judge_detections(Rules(labels=LABELS, regions=(LEFT,)))

    assert (judgement.items, judgement.by_label, judgement.by_region) == ((), {}, {"left": {}})


def test_a_score_that_is_no_number_is_dropped() -> None:
    """A model's NaN never passes for a finding."""
    broken = Detection(class_id=0, score=math.nan, box=(0.0, 0.0, 1.0, 1.0))

    assert judge_detections(Rules(labels=LABELS), broken, HEAD_LEFT).by_label == {"head": 1}
