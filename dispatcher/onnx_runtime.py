"""Runs ONNX files on the CPU with ONNX Runtime: the embedded default, and the fallback.

A file with a fixed batch size B is run in parts of B, the last padded with zeros: exact, and for
the usual B = 1 it is item by item without padding.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dispatcher.cards.card import ModelCard
from dispatcher.runtime import (
    DeviceHealth,
    ModelDescription,
    RuntimeOptions,
    TensorSpec,
    check_fit,
    checked_outputs,
    split_by_gears,
)
from pipeline.errors import ContractBroken, InvalidSettings

# ONNX Runtime's spelling of the element types that have a numpy counterpart.
_DTYPES: Mapping[str, str] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(uint32)": "uint32",
    "tensor(int32)": "int32",
    "tensor(uint64)": "uint64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}

# Measured resident growth with ONNX Runtime 1.31: a session takes 3.4 times a 12 MB file, 5 times
# a 5 MB one; running takes 6 (classifier, YOLO) to 18 times (DBNet) the bytes of the input batch.
_SESSION_BYTES_PER_FILE_BYTE = 4
_SESSION_BASE_BYTES = 10_000_000
_RUN_BYTES_PER_INPUT_BYTE = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    session: onnxruntime.InferenceSession
    input_name: str
    output_names: tuple[str, ...]
    batch_sizes: tuple[int, ...]


class OnnxRuntime:
    """ONNX Runtime's CPU provider, with *options.threads* threads inside an operator."""

    def __init__(self, options: RuntimeOptions) -> None:
        self._options = options
        self._loaded: dict[str, _Loaded] = {}

    def describe(self, card: ModelCard, path: Path) -> ModelDescription:
        """Say what the file is and takes; the session made for it is dropped at once."""
        return _description(self._open(path, optimized=False), card, path)

    def load(self, key: str, card: ModelCard, path: Path) -> ModelDescription:
        """Make the model ready under *key*, replacing what was there."""
        session = self._open(path, optimized=True)
        description = _description(session, card, path)
        check_fit(card, description)
        self._loaded[key] = _Loaded(
            session=session,
            input_name=description.inputs[0].name,
            output_names=tuple(output.name for output in description.outputs),
            batch_sizes=description.batch_sizes,
        )
        return description

    def unload(self, key: str) -> None:
        """Drop the session of *key*."""
        self._loaded.pop(key, None)

    def infer(self, key: str, batch: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run *batch*, in parts where the file has a fixed batch size."""
        model = self._loaded.get(key)
        if model is None:
            raise ContractBroken(f"model {key} is not loaded")
        parts = [
            {
                name: values[: stop - start]
                for name, values in self._run(model, batch[start:stop], gear)
            }
            for start, stop, gear in split_by_gears(len(batch), model.batch_sizes)
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(
        self, model: _Loaded, items: NDArray[Any], gear: int
    ) -> Iterable[tuple[str, NDArray[Any]]]:
        """Run *items* padded to *gear*; the outputs still have the padding."""
        values = model.session.run(model.output_names, {model.input_name: _padded(items, gear)})
        outputs = dict(zip(model.output_names, values, strict=True))
        # Before the padding is cut off, which would hide an output that is too long.
        return checked_outputs(outputs, gear).items()

    def health(self) -> DeviceHealth:
        """Say how much memory the machine has left; a CPU is healthy while it answers."""
        chip = f"{platform.machine()}x{self._options.threads}"
        return DeviceHealth(healthy=True, memory_free_bytes=_available_memory_bytes(), chip=chip)

    def close(self) -> None:
        """Drop every session."""
        self._loaded.clear()

    def _open(self, path: Path, *, optimized: bool) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._options.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Idle threads of ONNX Runtime spin for tens of milliseconds after a run. Measured on two
        # cores, YOLO 320, a run each 30 ms: 39 ms of CPU per run with spinning, 13 ms without;
        # back to back the batch of 8 takes no longer without it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not optimized:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # ONNX Runtime's errors share no base class below Exception
            raise InvalidSettings(f"{path} cannot be loaded: {exc}") from exc


def _description(
    session: onnxruntime.InferenceSession, card: ModelCard, path: Path
) -> ModelDescription:
    inputs = tuple(_tensor_spec(tensor) for tensor in session.get_inputs())
    batch_axis = inputs[0].shape[0] if inputs and inputs[0].shape else -1
    return ModelDescription(
        inputs=inputs,
        outputs=tuple(_tensor_spec(tensor) for tensor in session.get_outputs()),
        batch_sizes=(batch_axis,) if batch_axis > 0 else (),
        memory_bytes=_memory_bytes(card, path.stat().st_size, largest_run=batch_axis),
    )


def _tensor_spec(tensor: Any) -> TensorSpec:
    # A free dimension is a name or None; some exporters write fixed ones as a name, too ("3").
    return TensorSpec(
        name=tensor.name,
        shape=tuple(dim if isinstance(dim, int) and dim > 0 else -1 for dim in tensor.shape),
        dtype=_DTYPES.get(tensor.type, tensor.type),
    )


def _memory_bytes(card: ModelCard, file_bytes: int, *, largest_run: int) -> int:
    """Estimate from above what session and runs take, at the largest batch of the card."""
    spec = card.input
    sides = (spec.width_px * spec.height_px) or spec.max_side_px**2
    item_bytes = sides * 3 * np.dtype(spec.dtype).itemsize
    items = largest_run if largest_run > 0 else card.batching.max_size
    return (
        _SESSION_BASE_BYTES
        + _SESSION_BYTES_PER_FILE_BYTE * file_bytes
        + _RUN_BYTES_PER_INPUT_BYTE * items * item_bytes
    )


def _padded(items: NDArray[Any], gear: int) -> NDArray[Any]:
    if len(items) == gear:
        return items
    padding = np.zeros((gear - len(items), *items.shape[1:]), items.dtype)
    return np.concatenate([items, padding])


def _available_memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return int(found[1]) * 1024 if found else None
