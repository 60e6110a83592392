"""What a model found in one picture, before business rules.

The dispatcher writes it, postprocess reads it.

Compact on purpose (a few kB): raw tensors never leave the dispatcher. Coordinates are pixels of the
picture that was sent, after its EXIF orientation was applied; x grows right, y grows down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.errors import MalformedMessage
from pipeline.models.tensors import TensorFacts

FindingsKind = Literal["classes", "detections", "text_regions", "tensors", "outputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class of a classification, *score* in 0..1."""

    class_id: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One object: *box* is (x0, y0, x1, y1) in picture pixels, x0 <= x1 and y0 <= y1."""

    class_id: int
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRegion:
    """One region of text: *quad* is four corners clockwise from the top left, in picture pixels."""

    score: float
    quad: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTensor:
    """One small model output as numbers: *values* row-major, their count the product of *shape*."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that one model found in one picture. Only the tuple named by *kind* may be non-empty."""

    kind: FindingsKind
    classes: tuple[ClassScore, ...] = ()
    detections: tuple[Detection, ...] = ()
    text_regions: tuple[TextRegion, ...] = ()
    tensors: tuple[NamedTensor, ...] = ()
    #: The model's outputs as they are: their values lie in a file, in this order.
    outputs: tuple[TensorFacts, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the wire form: ``{"kind": ..., "items": [...]}`` with each item as a flat list."""
        match self.kind:
            case "classes":
                items: list[list[Any]] = [[c.class_id, c.score] for c in self.classes]
            case "detections":
                items = [[d.class_id, d.score, *d.box] for d in self.detections]
            case "text_regions":
                items = [
                    [r.score, *(n for point in r.quad for n in point)] for r in self.text_regions
                ]
            case "tensors":
                items = [[t.name, list(t.shape), t.dtype, list(t.values)] for t in self.tensors]
            case "outputs":
                items = [facts.to_list() for facts in self.outputs]
        return {"kind": self.kind, "items": items}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Findings:
        """Parse what :meth:`to_json` gave; raises MalformedMessage for anything else."""
        try:
            items = document["items"]
            match document["kind"]:
                case "classes":
                    return cls(
                        kind="classes",
                        classes=tuple(ClassScore(class_id=c, score=s) for c, s in items),
                    )
                case "detections":
                    return cls(
                        kind="detections",
                        detections=tuple(
                            Detection(class_id=c, score=s, box=(x0, y0, x1, y1))
                            for c, s, x0, y0, x1, y1 in items
                        ),
                    )
                case "text_regions":
                    return cls(
                        kind="text_regions",
                        text_regions=tuple(
                            TextRegion(score=s, quad=tuple(zip(n[::2], n[1::2], strict=True)))
                            for s, *n in items
                        ),
                    )
                case "tensors":
                    return cls(
                        kind="tensors",
                        tensors=tuple(
                            NamedTensor(
                                name=name, shape=tuple(shape), dtype=dtype, values=tuple(values)
                            )
                            for name, shape, dtype, values in items
                        ),
                    )
                case "outputs":
                    return cls(
                        kind="outputs", outputs=tuple(TensorFacts.from_list(each) for each in items)
                    )
                case other:
                    raise MalformedMessage(f"findings: unknown kind {other!r}")
        except (KeyError, TypeError, ValueError) as exc:
            raise MalformedMessage(f"findings: {exc!r}") from exc
