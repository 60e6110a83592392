"""Synthetic OM files around tiny ONNX models, as ATC would compile them, for the emulated NPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from omfile.facts import DataType, Format, TensorInfo
from omfile.synthetic import Recipe, pack

_TYPES: Mapping[int, DataType] = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.FLOAT16,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.INT64: DataType.INT64,
    TensorProto.INT32: DataType.INT32,
}

#: Where the emulator's ``acl`` lies, for PYTHONPATH.
EMULATOR = Path(__file__).parents[1] / "emulator"


def compile_om(onnx_path: Path, om_path: Path, *, batch: int = 0, **recipe: Any) -> Path:
    """Write an OM of an ONNX file; a free batch becomes *batch*, or stays free with gears.

    *recipe* are further fields of ``omfile.synthetic.Recipe``.
    """
    model = onnx.load(onnx_path)
    free = -1 if recipe.get("dynamic_batch") else batch
    inputs = tuple(_tensor(value, free) for value in model.graph.input)
    outputs = tuple(_tensor(value, free) for value in model.graph.output)
    om_path.parent.mkdir(parents=True, exist_ok=True)
    om_path.write_bytes(
        pack(
            model.SerializeToString(),
            Recipe(**{"name": om_path.stem, "inputs": inputs, "outputs": outputs, **recipe}),
        )
    )
    return om_path


def _tensor(value: onnx.ValueInfoProto, free: int) -> TensorInfo:
    kind = value.type.tensor_type
    dims = tuple(dim.dim_value or free for dim in kind.shape.dim)
    # Convolution networks from ONNX are NCHW; of pixels with three channels last, ATC is told.
    is_nhwc = len(dims) == 4 and dims[3] == 3 and dims[1] != 3
    layout = Format.ND if len(dims) != 4 else Format.NHWC if is_nhwc else Format.NCHW
    return TensorInfo(name=value.name, dims=dims, dtype=_TYPES[kind.elem_type], format=layout)
