"""Tests of dispatcher/runtime.py."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.cards.card import Layout, ModelCard, ResizeMode
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.runtime import (
    ModelDescription,
    RuntimeOptions,
    TensorSpec,
    check_fit,
    checked_outputs,
    create_runtime,
    split_by_gears,
)
from pipeline.errors import InvalidSettings, ModelFault
from tests.builders_onnx import make_card


def describe(
    shape: tuple[int, ...] = (-1, 3, 4, 4),
    *,
    dtype: str = "float32",
    output: tuple[int, ...] = (-1, 2),
    inputs: int = 1,
) -> ModelDescription:
    """Give a description with *inputs* equal inputs and one output."""
    return ModelDescription(
        inputs=(TensorSpec(name="x", shape=shape, dtype=dtype),) * inputs,
        outputs=(TensorSpec(name="y", shape=output, dtype="float32"),),
        batch_sizes=(),
        memory_bytes=1,
    )


@pytest.mark.parametrize(
    ("card", "description"),
    [
        (make_card(), describe()),
        (make_card(), describe((-1, -1, -1, -1))),
        (make_card(), describe((8, 3, 4, 4), output=(8, 2))),
        (make_card(layout=Layout.NHWC), describe((-1, 4, 4, 3))),
        (make_card(dtype="uint8"), describe(dtype="uint8")),
        (make_card(resize=ResizeMode.FREE), describe((-1, 3, -1, -1))),
    ],
)
def test_a_card_that_agrees_with_its_file_passes(
    card: ModelCard, description: ModelDescription
) -> None:
    """Free axes take any size; fixed ones that equal the card's are right."""
    check_fit(card, description)


@pytest.mark.parametrize(
    ("card", "description", "reason"),
    [
        (
            make_card(),
            describe(dtype="uint8"),
            r"takes x uint8 \[\?, 3, 4, 4\], the card gives dtype",
        ),
        (make_card(), describe((-1, 3, 5, 4)), r"the card gives 4 on axis 2 \(height_px\)"),
        (make_card(), describe((-1, 3, 4, 5)), r"the card gives 4 on axis 3 \(width_px\)"),
        (make_card(), describe((-1, 4, 4, 3)), r"the card gives 3 on axis 1 \(layout\)"),
        (make_card(), describe((-1, 3, 4)), "gw feeds four axes"),
        (make_card(), describe(inputs=2), "takes 2 inputs .* gw feeds exactly one"),
        (make_card(), describe(output=(1, 2)), "does not have the batch as its first axis"),
        (make_card(), describe(output=()), "does not have the batch as its first axis"),
        (make_card(resize=ResizeMode.FREE), describe(), 'axis 2 is fixed; resize "free" is not'),
    ],
)
def test_a_card_that_contradicts_its_file_is_refused(
    card: ModelCard, description: ModelDescription, reason: str
) -> None:
    """The refusal names what the file takes and what the card gives."""
    with pytest.raises(InvalidSettings, match=reason):
        check_fit(card, description)


def test_all_contradictions_are_named_together() -> None:
    """Wrong width and wrong dtype are told at once."""
    with pytest.raises(InvalidSettings, match=r"dtype.*; .*width_px"):
        check_fit(make_card(), describe((-1, 3, 4, 5), dtype="float16"))


def test_outputs_must_have_an_entry_for_each_item() -> None:
    """An output that is shorter, longer or a scalar fails the batch instead of mixing up items."""
    good = {"y": np.zeros((2, 5))}
    assert checked_outputs(good, 2) is good

    for shape in ((1, 5), (3, 5), ()):
        with pytest.raises(ModelFault, match="for a batch of 2"):
            checked_outputs({**good, "z": np.zeros(shape)}, 2)


@given(
    size=st.integers(1, 70),
    gears=st.lists(st.integers(1, 16), max_size=4, unique=True).map(sorted),
)
def test_parts_cover_the_batch_once_in_gears_that_hold_them(size: int, gears: list[int]) -> None:
    """Every item is in exactly one part, in order; only the last part may be padded."""
    parts = list(split_by_gears(size, gears))

    assert [i for start, stop, _ in parts for i in range(start, stop)] == list(range(size))
    for start, stop, gear in parts[:-1]:
        assert stop - start == gear == max(gears)
    start, stop, gear = parts[-1]
    assert stop - start <= gear
    if gears:
        assert not any(stop - start <= smaller < gear for smaller in gears)


def test_a_runtime_is_made_by_word_or_by_path() -> None:
    """The word onnx and a dotted path both give a runtime."""
    options = RuntimeOptions(threads=1)

    assert isinstance(create_runtime("onnx", options), OnnxRuntime)
    assert isinstance(create_runtime("dispatcher.onnx_runtime:OnnxRuntime", options), OnnxRuntime)


@pytest.mark.parametrize(
    "name", ["", "cuda", "no.such.module:Class", "dispatcher.cards.card:Absent"]
)
def test_an_unknown_runtime_is_refused(name: str) -> None:
    """A word that is not known, a module that is absent and a class that is absent are refused."""
    with pytest.raises(InvalidSettings, match="runtime"):
        create_runtime(name, RuntimeOptions())


def test_every_description_field_is_frozen() -> None:
    """A description cannot be changed once it has been told."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        describe().memory_bytes = 2  # type: ignore[misc] # the point of the test
