"""Raw outputs as numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dispatcher.cards.card import RawDecoder
from dispatcher.decoders import NamedOutput, reduce_outputs
from pipeline.errors import ModelFault
from pipeline.models.findings import NamedTensor
from tests.unit.dispatcher.decoders.frames import single, stretched

PLACEMENT = stretched(8, 8)


def test_outputs_are_handed_on_without_the_batch_axis() -> None:
    """Each output keeps its name, order, shape and dtype; values are row-major."""
    outputs = [
        NamedOutput(name="b", values=np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.int64)),
        NamedOutput(name="a", values=np.array([0.5, 0.25], np.float16)),
    ]

    found = reduce_outputs(RawDecoder(), outputs, PLACEMENT, item=1)

    assert found.kind == "tensors"
    assert found.tensors == (
        NamedTensor(name="b", shape=(2, 2), dtype="int64", values=(5.0, 6.0, 7.0, 8.0)),
        NamedTensor(name="a", shape=(), dtype="float16", values=(0.25,)),
    )


def test_the_limit_counts_all_outputs_together() -> None:
    """As many values as allowed pass; one more is refused with the shapes."""
    outputs = [*single(np.zeros((1, 3)), "a"), *single(np.zeros((1, 2, 2)), "b")]

    assert len(reduce_outputs(RawDecoder(max_values=7), outputs, PLACEMENT, item=0).tensors) == 2
    with pytest.raises(ModelFault, match=r"7 values \('a' \(3,\), 'b' \(2, 2\)\); expected at mo"):
        reduce_outputs(RawDecoder(max_values=6), outputs, PLACEMENT, item=0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_a_model_fault(value: float) -> None:
    """A tensor with a hole in it is refused, since nothing true can stand in its place."""
    with pytest.raises(ModelFault, match="'output0' has values that are no numbers"):
        reduce_outputs(RawDecoder(), single(np.array([[1.0, value]])), PLACEMENT, item=0)
