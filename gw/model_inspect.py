"""What a model file says about itself, for people and as one document. Needs no NPU, no runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gw.onnx_graph import UNKNOWN_SHAPE, OnnxGraph, read_onnx
from gw.table import render_table
from omfile.checks import check_cann, check_soc
from omfile.container import MAGIC
from omfile.errors import OmError
from omfile.facts import Gears, OmFile, TensorInfo
from omfile.reader import read_om_file
from pipeline.errors import InvalidSettings

_LARGEST_ONNX_BYTES = 2 << 30  # what a protocol-buffer file can have


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model file that was read: exactly one of *om* and *onnx* is there."""

    path: Path
    size_bytes: int
    om: OmFile | None = None
    onnx: OnnxGraph | None = None

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """All inputs, hidden ones too."""
        return self._description.inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """All outputs."""
        return self._description.outputs

    @property
    def gears(self) -> Gears:
        """The sizes the file was built for; an ONNX file has none."""
        return self.om.gears if self.om is not None else Gears()

    @property
    def _description(self) -> OmFile | OnnxGraph:
        description = self.om or self.onnx
        assert description is not None  # noqa: S101 - the class's own promise
        return description


def inspect_file(path: Path) -> ModelFile:
    """Read the model file at *path*, whatever it is called; raises InvalidSettings."""
    try:
        if not path.is_file():
            raise InvalidSettings(f"{path} is not a file: name a .om or .onnx file")
        size_bytes = path.stat().st_size
        with path.open("rb") as opened:
            is_om = opened.read(len(MAGIC)) == MAGIC or path.suffix.lower() == ".om"
        if is_om:
            return ModelFile(path=path, size_bytes=size_bytes, om=read_om_file(path))
        if size_bytes > _LARGEST_ONNX_BYTES:
            raise InvalidSettings(f"{path} is too large for an ONNX file: name a .om or .onnx file")
        return ModelFile(path=path, size_bytes=size_bytes, onnx=read_onnx(path.read_bytes()))
    except OmError as exc:
        raise InvalidSettings(f"{path}: {exc}") from exc
    except InvalidSettings as exc:
        raise InvalidSettings(str(exc) if str(path) in str(exc) else f"{path}: {exc}") from exc
    except OSError as exc:
        raise InvalidSettings(f"{path} cannot be read: {exc.strerror or exc}") from exc


def check_target(model: ModelFile, *, soc: str, cann_version: str) -> None:
    """Raise InvalidSettings if an OM does not fit; an empty text is not checked."""
    if model.om is None:
        return
    try:
        check_soc(model.om, soc)
        check_cann(model.om, cann_version)
    except OmError as exc:
        raise InvalidSettings(f"{model.path}: {exc}") from exc


def as_text(model: ModelFile) -> str:
    """Give what people read: facts, then tensors, then parts."""
    facts = [(name, value) for name, value in _facts(model) if value]
    tensors = [
        *(_tensor_row("hidden" if t.is_hidden else "input", t) for t in model.inputs),
        *(_tensor_row("output", t) for t in model.outputs),
    ]
    tables = [
        render_table(("what", "value"), facts),
        render_table(("tensor", "name", "type", "layout", "dims", "buffer", "bytes"), tensors),
    ]
    if model.om is not None:
        parts = [
            (each.kind_name, str(each.model_index), str(each.offset_bytes), f"{each.size_bytes:,}")
            for each in model.om.partitions
        ]
        tables.append(render_table(("part", "model", "offset", "bytes"), parts))
    return "\n\n".join(tables)


def as_document(model: ModelFile) -> dict[str, Any]:
    """Give the same as one document of plain values, sizes in bytes."""
    document: dict[str, Any] = {
        "path": str(model.path),
        "kind": "om" if model.om is not None else "onnx",
        "size_bytes": model.size_bytes,
        "inputs": [_tensor_document(tensor) for tensor in model.inputs],
        "outputs": [_tensor_document(tensor) for tensor in model.outputs],
        "dynamic_batch": list(model.gears.dynamic_batch),
        "dynamic_hw": [list(gear) for gear in model.gears.dynamic_hw],
        "dynamic_dims": [list(gear) for gear in model.gears.dynamic_dims],
    }
    if model.onnx is not None:
        document["opset"] = model.onnx.opset
        document["producer"] = model.onnx.producer
        document["metadata"] = dict(model.onnx.metadata)
        document["has_external_data"] = model.onnx.has_external_data
    if model.om is not None:
        document |= _om_document(model.om)
    return document


def _om_document(om: OmFile) -> dict[str, Any]:
    return {
        "name": om.name,
        "soc_version": om.soc_version,
        "atc_version": om.atc_version,
        "opp_version": om.opp_version,
        "atc_cmdline": om.atc_cmdline,
        "host_env_os": om.host_env_os,
        "host_env_cpu": om.host_env_cpu,
        "work_bytes": om.work_bytes,
        "weight_bytes": om.weight_bytes,
        "is_dynamic_shape": om.is_dynamic_shape,
        "is_emulated": om.is_emulated,
        "aipp": {"mode": om.aipp.mode.value, "evidence": om.aipp.evidence},
        "models": om.header.model_num,
        "partitions": [
            {
                "kind": each.kind_name,
                "model": each.model_index,
                "offset_bytes": each.offset_bytes,
                "size_bytes": each.size_bytes,
            }
            for each in om.partitions
        ],
    }


def _tensor_document(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dims": None if tensor.dims == UNKNOWN_SHAPE else list(tensor.dims),
        "dims_v2": None if tensor.dims_v2 == UNKNOWN_SHAPE else list(tensor.dims_v2),
        "dtype": tensor.dtype_name,
        "format": tensor.format_name,
        "size_bytes": tensor.size_bytes,
        "ranges": [list(pair) for pair in tensor.ranges],
        "hidden": tensor.is_hidden,
    }


def _facts(model: ModelFile) -> Iterator[tuple[str, str]]:
    om, onnx = model.om, model.onnx
    yield "file", str(model.path)
    if onnx is not None:
        yield "format", f"ONNX, operator set {onnx.opset}, {_megabytes(model.size_bytes)}"
        yield "made by", onnx.producer
        yield "weights", "in files beside this one" if onnx.has_external_data else ""
        for key, value in onnx.metadata.items():
            yield f"metadata {key}", value if len(value) <= 100 else value[:97] + "..."
    if om is not None:
        yield "format", f"OM, {_megabytes(model.size_bytes)}"
        yield "name", om.name
        yield "built for", om.soc_version or "any chip (the file names none)"
        yield "built by", " ".join(filter(None, (om.atc_version, om.opp_version)))
        yield "built to run on", " ".join(filter(None, (om.host_env_os, om.host_env_cpu)))
        memory = f"work {_megabytes(om.work_bytes)}, weights {_megabytes(om.weight_bytes)}"
        yield "NPU memory", memory if om.work_bytes or om.weight_bytes else ""
        yield "batches", ", ".join(map(str, om.gears.dynamic_batch))
        yield "picture sizes", _lists(om.gears.dynamic_hw)
        yield "free dims", _lists(om.gears.dynamic_dims)
        yield "shapes", "free at run time" if om.is_dynamic_shape else ""
        yield "AIPP", f"{om.aipp.mode.value} ({om.aipp.evidence})" if om.aipp.evidence else ""
        yield "command", om.atc_cmdline
        yield "emulated", "an ONNX graph: no NPU can run it" if om.is_emulated else ""


def _tensor_row(role: str, tensor: TensorInfo) -> tuple[str, ...]:
    buffer = _dims(tensor.dims_v2) if tensor.dims_v2 != tensor.dims else "-"
    size = f"{tensor.size_bytes:,}" if tensor.size_bytes else "-"
    dims = _dims(tensor.dims)
    return role, tensor.name, tensor.dtype_name, tensor.format_name, dims, buffer, size


def _dims(dims: tuple[int, ...]) -> str:
    if dims == UNKNOWN_SHAPE:
        return "unknown"
    return " x ".join("?" if dim < 0 else str(dim) for dim in dims) or "one value"


def _lists(gears: Iterable[tuple[int, ...]]) -> str:
    return ", ".join(" x ".join(map(str, gear)) for gear in gears)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
