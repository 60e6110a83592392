"""What is known of a tensor without its values."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.models.tensors import DATATYPES, ELEMENT_BYTES, TensorFacts, datatype_of


@pytest.mark.parametrize("datatype", DATATYPES)
def test_every_datatype_is_numpys(datatype: str) -> None:
    """Its name leads to numpy's and back, and an element takes as much."""
    dtype = np.dtype(DATATYPES[datatype])
    assert datatype_of(dtype.name) == datatype
    assert dtype.itemsize == ELEMENT_BYTES[datatype]


def test_a_tensor_comes_back_from_its_wire_form() -> None:
    """And knows its size."""
    facts = TensorFacts(name="x", datatype="FP16", shape=(2, 3))
    assert TensorFacts.from_list(facts.to_list()) == facts
    assert (facts.elements, facts.size_bytes) == (6, 12)


@pytest.mark.parametrize("document", [[], ["x", "FP31", [1]], [1, "FP32", [1]], ["x", "FP32", 1]])
def test_what_is_no_tensor_is_told(document: list[object]) -> None:
    """A reader of records turns both errors into its own."""
    with pytest.raises((TypeError, ValueError)):
        TensorFacts.from_list(document)


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((1, 3, 8), True),
        ((9, 3, 8), True),
        ((1, 3, 7), False),
        ((1, 3), False),
        ((3, 3, 8, 1), False),
    ],
)
def test_a_free_dimension_takes_any_size(shape: tuple[int, ...], *, fits: bool) -> None:
    """And the others only their own."""
    assert TensorFacts(name="x", datatype="FP32", shape=(-1, 3, 8)).takes(shape) is fits
