"""A model's inputs and outputs in numpy's words, whether a file tells them or a device."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dispatcher.cards.card import InputSpec, Layout
from omfile.facts import DataType

#: ACL's element types that numpy has, by its names.
DTYPES: Mapping[int, str] = {
    DataType.FLOAT: "float32",
    DataType.FLOAT16: "float16",
    DataType.DOUBLE: "float64",
    DataType.INT8: "int8",
    DataType.UINT8: "uint8",
    DataType.INT16: "int16",
    DataType.UINT16: "uint16",
    DataType.INT32: "int32",
    DataType.UINT32: "uint32",
    DataType.INT64: "int64",
    DataType.UINT64: "uint64",
    DataType.BOOL: "bool",
}

#: How many batches of a model can be on the device: one runs, one lies ready.
SLOTS = 2

# Compiled models call an output "node:index:tensor"; the tensor is what the ONNX file calls it.
_COMPILED_NAME = re.compile(r"[^:]*:\d+:(.+)")


def output_names(compiled: Sequence[str]) -> tuple[str, ...]:
    """Give the names that the outputs had before the model was compiled, where that is clear."""
    found = [_COMPILED_NAME.fullmatch(name) for name in compiled]
    names = [
        name if match is None else match[1] for name, match in zip(compiled, found, strict=True)
    ]
    return tuple(names if len(set(names)) == len(names) else compiled)


def input_shape(shape: Sequence[int], spec: InputSpec) -> tuple[int, ...]:
    """Give the shape of an input whose pixel unit is set from *spec*; *shape* is that of RGB.

    Dynamic AIPP takes either kind of picture, and tells neither.
    """
    if spec.layout is Layout.NV12 and len(shape) == 4:
        return (shape[0], shape[1] * 3 // 2, shape[2], 1)
    return tuple(shape)


def free_batch(shape: Sequence[int], gears: Sequence[int]) -> tuple[int, ...]:
    """Give an output's *shape* with the batch as free as the input's.

    A compiled model with gears tells its outputs' shapes at the largest one.
    """
    if gears and shape and shape[0] == max(gears):
        return (-1, *shape[1:])
    return tuple(shape)
