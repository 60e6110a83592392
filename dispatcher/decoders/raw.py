"""Small outputs, handed on as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dispatcher.cards.card import RawDecoder
from dispatcher.decoders.outputs import NamedOutput
from pipeline.errors import ModelFault
from pipeline.models.findings import Findings, NamedTensor


def reduce_raw(spec: RawDecoder, outputs: Sequence[NamedOutput], *, item: int) -> Findings:
    """Give every output of one picture, in the model's order, without the batch axis.

    Raises ModelFault past ``max_values`` in all, and for NaN or infinity: JSON has no such number,
    and a value left out would move all that follow it.
    """
    rows = [(output, output.item(item)) for output in outputs]
    count = sum(row.size for _, row in rows)
    if count > spec.max_values:
        shapes = ", ".join(f"{output.name!r} {row.shape}" for output, row in rows)
        raise ModelFault(
            f"The model gave {count} values ({shapes}); expected at most {spec.max_values}."
        )
    for output, row in rows:
        if not np.isfinite(row).all():
            raise ModelFault(f"The model's output {output.name!r} has values that are no numbers.")
    return Findings(
        kind="tensors",
        tensors=tuple(
            NamedTensor(
                name=output.name,
                shape=tuple(row.shape),
                dtype=str(row.dtype),
                values=tuple(float(value) for value in row.reshape(-1)),
            )
            for output, row in rows
        ),
    )
