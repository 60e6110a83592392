"""The business rules of a model: written in its ``model.toml``, applied by postprocess.

Plain data. The dispatcher publishes a model's rules under the sha256 of their wire form, so a job
is judged by the rules that stood when its model ran, wherever postprocess runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.errors import MalformedMessage

Units = Literal["pixels", "fraction"]
Anchor = Literal["center", "bottom_center", "overlap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region of interest.

    *points* are the polygon's corners (three or more; a rectangle has four), in *units* of pixels
    or of the picture's width and height (0..1). A finding belongs to it by its *anchor*: the middle
    of its box, the middle of the box's bottom edge, or any overlap of the box with the region's
    bounding box and polygon. *labels* empty means every label.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    units: Units = "fraction"
    anchor: Anchor = "center"
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What postprocess does with findings.

    *labels* names the classes by position. Scores below *min_score*, or below the label's own entry
    in *min_scores*, are dropped (0..1). *include* non-empty keeps only those labels; *exclude*
    drops. With *regions* and *only_in_regions*, findings outside every region are dropped.
    """

    labels: tuple[str, ...] = ()
    min_score: float = 0.0
    min_scores: Mapping[str, float] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    only_in_regions: bool = False

    def label_of(self, class_id: int) -> str:
        """Give the label of *class_id*, or ``class_<id>`` where the model names none."""
        if 0 <= class_id < len(self.labels):
            return self.labels[class_id]
        return f"class_{class_id}"

    def wants(self, label: str, score: float) -> bool:
        """Whether a finding of this label and score is kept, wherever it lies."""
        if self.include and label not in self.include:
            return False
        return label not in self.exclude and score >= self.min_scores.get(label, self.min_score)

    def to_json_text(self) -> str:
        """Give the canonical wire form: sorted keys, no white space."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def sha256(self) -> str:
        """Give the hex sha256 of the wire form: the name under which these rules are published."""
        return hashlib.sha256(self.to_json_text().encode()).hexdigest()

    @classmethod
    def from_json_text(cls, text: str) -> Rules:
        """Parse what :meth:`to_json_text` gave; raises MalformedMessage for anything else."""
        try:
            document: dict[str, Any] = json.loads(text)
            regions = tuple(
                Region(
                    name=r["name"],
                    points=tuple((float(x), float(y)) for x, y in r["points"]),
                    units=r["units"],
                    anchor=r["anchor"],
                    labels=tuple(r["labels"]),
                )
                for r in document["regions"]
            )
            return cls(
                labels=tuple(document["labels"]),
                min_score=document["min_score"],
                min_scores=dict(document["min_scores"]),
                include=tuple(document["include"]),
                exclude=tuple(document["exclude"]),
                regions=regions,
                only_in_regions=document["only_in_regions"],
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"rules: {exc!r}") from exc
