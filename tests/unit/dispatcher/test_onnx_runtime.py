"""Tests of dispatcher/onnx_runtime.py on tiny real models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dispatcher.cards.card import Layout, ResizeMode
from dispatcher.onnx_runtime import OnnxRuntime
from dispatcher.runtime import RuntimeOptions, TensorSpec, checked_outputs
from pipeline.errors import ContractBroken, InvalidSettings, ModelFault
from tests.builders_onnx import (
    make_card,
    save_argmax_model,
    save_identity_model,
    save_mean_model,
    save_positions_model,
    save_two_input_model,
)


@pytest.fixture
def runtime() -> OnnxRuntime:
    """Give a runtime with one thread."""
    return OnnxRuntime(RuntimeOptions(threads=1))


def pixels(count: int, side_px: int = 4) -> NDArray[np.float32]:
    """Give *count* items of NCHW noise, the same each time."""
    return np.random.default_rng(1).random((count, 3, side_px, side_px), dtype=np.float32)


def test_a_file_with_a_free_batch_is_described(runtime: OnnxRuntime, tmp_path: Path) -> None:
    """Free dimensions are -1, and any batch size goes."""
    path = save_mean_model(tmp_path / "model.onnx")

    description = runtime.describe(make_card(), path)

    assert description.inputs == (TensorSpec(name="x", shape=(-1, 3, 4, 4), dtype="float32"),)
    assert description.outputs == (TensorSpec(name="mean", shape=(-1, 3), dtype="float32"),)
    assert description.batch_sizes == ()


def test_the_memory_estimate_grows_with_the_cards_largest_batch(
    runtime: OnnxRuntime, tmp_path: Path
) -> None:
    """A card that allows larger batches of a free file needs more; a fixed file does not."""
    free = save_mean_model(tmp_path / "free.onnx", side_px="s")
    fixed = save_mean_model(tmp_path / "fixed.onnx", batch=2, side_px="s")

    def estimate(path: Path, max_size: int) -> int:
        card = make_card(side_px=640, max_size=max_size)
        return runtime.describe(card, path).memory_bytes

    item_bytes = 640 * 640 * 3 * 4
    assert estimate(free, 8) - estimate(free, 4) >= 4 * item_bytes
    assert estimate(fixed, 8) == estimate(fixed, 4)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_batch_gives_an_entry_for_each_item(
    runtime: OnnxRuntime, tmp_path: Path, size: int
) -> None:
    """Outputs come in the file's order and are those of the items in theirs."""
    runtime.load("tiny/1", make_card(), save_identity_model(tmp_path / "model.onnx"))
    batch = pixels(size)

    outputs = checked_outputs(runtime.infer("tiny/1", batch), size)

    assert list(outputs) == ["same", "negative"]
    np.testing.assert_array_equal(outputs["same"], batch)
    np.testing.assert_array_equal(outputs["negative"], -batch)


@pytest.mark.parametrize("gear", [1, 4])
@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_a_fixed_batch_file_takes_any_batch(
    runtime: OnnxRuntime, tmp_path: Path, gear: int, size: int
) -> None:
    """A file of fixed batch size runs in parts, and padding never reaches the outputs."""
    description = runtime.load(
        "tiny/1", make_card(), save_mean_model(tmp_path / "model.onnx", batch=gear)
    )
    batch = pixels(size)

    outputs = checked_outputs(runtime.infer("tiny/1", batch), size)

    assert description.batch_sizes == (gear,)
    np.testing.assert_allclose(outputs["mean"], batch.mean(axis=(2, 3)), rtol=1e-5)


def test_raw_pixels_are_taken(runtime: OnnxRuntime, tmp_path: Path) -> None:
    """A uint8 NHWC model gets bytes, and an integer output comes back as it is."""
    card = make_card(dtype="uint8", layout=Layout.NHWC)
    runtime.load("tiny/1", card, save_argmax_model(tmp_path / "model.onnx"))
    batch = np.random.default_rng(2).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)

    outputs = runtime.infer("tiny/1", batch)

    assert outputs["best"].dtype == np.int64
    np.testing.assert_array_equal(outputs["best"], batch.argmax(axis=3))


def test_free_sizes_may_change_from_batch_to_batch(runtime: OnnxRuntime, tmp_path: Path) -> None:
    """A file with free sides takes a different size each time."""
    card = make_card(resize=ResizeMode.FREE, side_px=64)
    runtime.load("tiny/1", card, save_mean_model(tmp_path / "model.onnx", side_px="s"))

    for side_px in (4, 32, 16):
        batch = pixels(2, side_px)
        np.testing.assert_allclose(
            runtime.infer("tiny/1", batch)["mean"], batch.mean(axis=(2, 3)), rtol=1e-5
        )


def test_a_card_that_contradicts_the_file_is_not_loaded(
    runtime: OnnxRuntime, tmp_path: Path
) -> None:
    """The wrong side, and a second input, are refused with what the file takes."""
    with pytest.raises(InvalidSettings, match=r"x float32 \[\?, 3, 4, 4\], the card gives 5"):
        runtime.load("tiny/1", make_card(side_px=5), save_mean_model(tmp_path / "model.onnx"))
    with pytest.raises(InvalidSettings, match="takes 2 inputs"):
        runtime.load("tiny/1", make_card(), save_two_input_model(tmp_path / "two.onnx"))
    with pytest.raises(ContractBroken, match="tiny/1 is not loaded"):
        runtime.infer("tiny/1", pixels(1))


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x08\x08\x12"])
def test_a_file_that_is_no_model_is_refused(
    runtime: OnnxRuntime, tmp_path: Path, content: bytes
) -> None:
    """Rubbish and an empty file are refused by name; so is a file that is absent."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)

    with pytest.raises(InvalidSettings, match=r"model\.onnx cannot be loaded"):
        runtime.load("tiny/1", make_card(), path)
    with pytest.raises(InvalidSettings, match=r"absent\.onnx cannot be loaded"):
        runtime.describe(make_card(), tmp_path / "absent.onnx")


def test_outputs_of_another_length_than_the_batch_fail_it(
    runtime: OnnxRuntime, tmp_path: Path
) -> None:
    """A model that gives rows of its own is caught by the length of its output."""
    runtime.load("tiny/1", make_card(), save_positions_model(tmp_path / "model.onnx"))

    with pytest.raises(ModelFault, match=r"'where' the shape \(96, 4\) for a batch of 2"):
        runtime.infer("tiny/1", pixels(2))


def test_an_unloaded_model_is_gone(runtime: OnnxRuntime, tmp_path: Path) -> None:
    """After unload the key is unknown; unloading it again is no mistake."""
    runtime.load("tiny/1", make_card(), save_mean_model(tmp_path / "model.onnx"))

    runtime.unload("tiny/1")
    runtime.unload("tiny/1")

    with pytest.raises(ContractBroken, match="is not loaded"):
        runtime.infer("tiny/1", pixels(1))


def test_a_cpu_tells_its_free_memory(runtime: OnnxRuntime) -> None:
    """The health of a CPU is its machine's available memory."""
    health = runtime.health()

    assert health.healthy
    assert health.memory_free_bytes is None or health.memory_free_bytes > 1_000_000
