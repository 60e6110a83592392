"""Model outputs to findings: one module per decoder kind, all pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.cards.card import (
    ClassificationDecoder,
    DbnetDecoder,
    DecoderSpec,
    RawDecoder,
    YoloDecoder,
)
from dispatcher.decoders.classification import reduce_classification
from dispatcher.decoders.dbnet import reduce_dbnet
from dispatcher.decoders.outputs import NamedOutput
from dispatcher.decoders.raw import reduce_raw
from dispatcher.decoders.yolo import reduce_yolo
from dispatcher.pictures.geometry import Placement
from pipeline.models.findings import Findings

__all__ = ["NamedOutput", "reduce_outputs"]


def reduce_outputs(
    spec: DecoderSpec, outputs: Sequence[NamedOutput], placement: Placement, *, item: int
) -> Findings:
    """Reduce one picture's part of a batch's *outputs* to findings in picture pixels.

    *item* is the picture's position in the batch. The same outputs always give the same findings in
    the same order. Raises ModelFault where the outputs do not have the decoder's shape.
    """
    match spec:
        case ClassificationDecoder():
            return reduce_classification(spec, outputs, item=item)
        case YoloDecoder():
            return reduce_yolo(spec, outputs, placement, item=item)
        case DbnetDecoder():
            return reduce_dbnet(spec, outputs, placement, item=item)
        case RawDecoder():
            return reduce_raw(spec, outputs, item=item)
