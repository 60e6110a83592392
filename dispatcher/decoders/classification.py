"""Class scores to the best classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import ClassificationDecoder
from dispatcher.decoders.outputs import NamedOutput, first_output
from pipeline.models.findings import ClassScore, Findings


def reduce_classification(
    spec: ClassificationDecoder, outputs: Sequence[NamedOutput], *, item: int
) -> Findings:
    """Keep the best ``top_k`` classes, best first, equal ones by class id.

    Reads shape (batch, classes), with any number of axes of length 1 behind. Classes whose output
    is NaN or infinite are dropped, the others scored without them. Scores are cut to 0..1.
    """
    output = first_output(outputs)
    row = output.item(item)
    if row.ndim < 1 or row.size == 0 or row.shape[0] != row.size:
        raise output.wrong_shape("(batch, classes)")
    values = row.reshape(-1).astype(np.float64)
    class_ids = np.flatnonzero(np.isfinite(values))
    scores = values[class_ids]
    if spec.softmax:
        scores = _softmax(scores)
    best = np.argsort(-scores, kind="stable")[: spec.top_k]
    return Findings(
        kind="classes",
        classes=tuple(
            ClassScore(class_id=int(class_ids[k]), score=float(min(1.0, max(0.0, scores[k]))))
            for k in best
        ),
    )


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    if logits.size == 0:
        return logits
    powers: NDArray[np.float64] = np.exp(logits - logits.max())
    powers /= powers.sum()
    return powers
