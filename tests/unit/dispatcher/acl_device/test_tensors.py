"""Tests of dispatcher/acl_device/tensors.py."""

from __future__ import annotations

import numpy as np
import pytest

from dispatcher.acl_device.tensors import DTYPES, free_batch, output_names
from omfile.facts import DTYPE_BITS


@pytest.mark.parametrize(
    ("compiled", "names"),
    [
        (["Add_7:0:scores", "Conv:1:boxes"], ("scores", "boxes")),
        (["trans:0:Identity:0"], ("Identity:0",)),
        (["/head/Concat:0:output0"], ("output0",)),
        (["scores"], ("scores",)),
        (["a:0:same", "b:0:same"], ("a:0:same", "b:0:same")),
        ([], ()),
    ],
)
def test_outputs_keep_the_names_of_the_onnx_file(
    compiled: list[str], names: tuple[str, ...]
) -> None:
    """What compiling put in front of a name is taken off, unless two would be called the same."""
    assert output_names(compiled) == names


@pytest.mark.parametrize(
    ("shape", "gears", "freed"),
    [
        ((8, 84, 10), (1, 2, 8), (-1, 84, 10)),
        ((8, 84), (), (8, 84)),
        ((6, 84), (1, 8), (6, 84)),
        ((), (1, 8), ()),
    ],
)
def test_the_batch_of_an_output_is_free_with_gears(
    shape: tuple[int, ...], gears: tuple[int, ...], freed: tuple[int, ...]
) -> None:
    """A first axis of the largest gear is the batch; any other stays what it is."""
    assert free_batch(shape, gears) == freed


def test_element_types_have_the_size_that_the_file_counts() -> None:
    """Numpy's types are as wide as ACL's of the same number."""
    for number, name in DTYPES.items():
        assert np.dtype(name).itemsize * 8 == DTYPE_BITS[number]
