"""Jobs that bring their input as a tensor."""

from __future__ import annotations

import numpy as np
import pytest

from dispatcher.pictures.tensor_inputs import UnfitTensor, copy_tensor, tensor_shape
from dispatcher.runtime import ModelDescription, TensorSpec
from pipeline.models.tensors import TensorFacts

MODEL = ModelDescription(
    inputs=(TensorSpec(name="x", shape=(-1, 3, -1, 4), dtype="float32"),),
    outputs=(),
    batch_sizes=(),
    memory_bytes=1,
)


def facts(*shape: int, datatype: str = "FP32") -> TensorFacts:
    """Give a tensor without values."""
    return TensorFacts(name="x", datatype=datatype, shape=shape)


def test_a_tensor_keeps_its_shape_where_the_model_takes_it() -> None:
    """A free axis takes any size."""
    assert tensor_shape(facts(3, 7, 4), MODEL) == (3, 7, 4)


@pytest.mark.parametrize(
    "tensor",
    [
        facts(3, 7, 5),
        facts(3, 0, 4),
        facts(3, 7),
        facts(1, 3, 7, 4),
        facts(3, 7, 4, datatype="FP16"),
    ],
)
def test_a_tensor_that_the_model_does_not_take_fails_its_job(tensor: TensorFacts) -> None:
    """The version that runs it may be another one than it was accepted for."""
    with pytest.raises(UnfitTensor, match="the model takes x float32"):
        tensor_shape(tensor, MODEL)


def test_values_are_copied_as_they_are() -> None:
    """Bit by bit, also what is no number."""
    values = np.array([[1.5, np.nan], [np.inf, -0.0]], np.float32)
    out = np.zeros((2, 2), np.float32)
    copy_tensor(values.tobytes(), out)
    assert out.tobytes() == values.tobytes()


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_file_of_another_size_is_not_copied(size: int) -> None:
    """Neither a shorter one nor a longer one."""
    with pytest.raises(UnfitTensor, match=f"{size} bytes, not 16"):
        copy_tensor(bytes(size), np.zeros((2, 2), np.float32))
