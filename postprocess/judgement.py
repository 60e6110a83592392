"""Business rules applied to findings. Pure: the same findings and rules give the same items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pipeline.models.findings import Detection, Findings, TextRegion
from pipeline.models.rules import Rules
from postprocess.regions import Box, corners_px, holds

#: The label of every text region: text detection has one class.
TEXT_LABEL = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is left of the findings: *items* ready for the result, and their counts.

    *by_region* has every region of the rules, also those with nothing in them.
    """

    items: tuple[dict[str, Any], ...]
    by_label: dict[str, int]
    by_region: dict[str, dict[str, int]]


def judge(findings: Findings, rules: Rules, *, width_px: int, height_px: int) -> Judgement:
    """Apply *rules* to what was found in a picture of this size. The order of findings stays."""
    by_region: dict[str, Counter[str]] = {region.name: Counter() for region in rules.regions}
    by_label: Counter[str] = Counter()
    items = []
    for item, box in _labelled(findings, rules):
        label = item.get("label", "")
        if label and not rules.wants(label, item["score"]):
            continue
        if box is not None and rules.regions:
            names = _regions_of(label, box, rules, (width_px, height_px))
            if rules.only_in_regions and not names:
                continue
            item["regions"] = names
            for name in names:
                by_region[name][label] += 1
        if label:
            by_label[label] += 1
        items.append(item)
    return Judgement(
        items=tuple(items),
        by_label=dict(sorted(by_label.items())),
        by_region={name: dict(sorted(counts.items())) for name, counts in by_region.items()},
    )


def _labelled(findings: Findings, rules: Rules) -> Iterator[tuple[dict[str, Any], Box | None]]:
    """Give each finding as an item of the result, with its box where it has a place."""
    for found in findings.classes:
        label = rules.label_of(found.class_id)
        yield {"label": label, "class_id": found.class_id, "score": round(found.score, 4)}, None
    for detection in findings.detections:
        yield _detection_item(detection, rules), detection.box
    for region in findings.text_regions:
        yield _text_item(region), _bounds(region.quad)
    for output in findings.outputs:
        yield (
            {
                "name": output.name,
                "datatype": output.datatype,
                "shape": list(output.shape),
                "bytes": output.size_bytes,
            },
            None,
        )
    for tensor in findings.tensors:
        yield (
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                # JSON has no other numbers.
                "values": [value if isfinite(value) else None for value in tensor.values],
            },
            None,
        )


def _detection_item(detection: Detection, rules: Rules) -> dict[str, Any]:
    return {
        "label": rules.label_of(detection.class_id),
        "class_id": detection.class_id,
        "score": round(detection.score, 4),
        "box": [round(edge, 1) for edge in detection.box],
    }


def _text_item(region: TextRegion) -> dict[str, Any]:
    return {
        "label": TEXT_LABEL,
        "score": round(region.score, 4),
        "quad": [[round(x, 1), round(y, 1)] for x, y in region.quad],
    }


def _regions_of(label: str, box: Box, rules: Rules, size_px: tuple[int, int]) -> list[str]:
    return [
        region.name
        for region in rules.regions
        if (not region.labels or label in region.labels)
        and holds(region, corners_px(region, width_px=size_px[0], height_px=size_px[1]), box)
    ]


def _bounds(points: Sequence[tuple[float, float]]) -> Box:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)
