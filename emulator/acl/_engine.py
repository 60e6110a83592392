"""Computes a model: an ONNX graph on the CPU."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from acl._onnx_library import OnnxFailure, P, library

Array = npt.NDArray[Any]

# ONNXTensorElementDataType.
_ELEMENTS: dict[int, type] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
}


class End(NamedTuple):
    """One input or output of the graph."""

    name: bytes
    element: int
    dims: tuple[int, ...]


class Engine:
    """One ONNX session. Loading keeps the interpreter lock, a run does if asked to."""

    def __init__(self, graph: bytes) -> None:
        ort = library()
        self._ort = ort
        options = ort.make("CreateSessionOptions")
        try:
            ort.call("SetIntraOpNumThreads", options, 1)
            size = len(graph)
            environment = ort.environment
            self._session = ort.make("CreateSessionFromArray", environment, graph, size, options)
        finally:
            ort.release("SessionOptions", options)
        # A session that nobody closed goes with its engine; at exit ONNX Runtime is gone already.
        self._end = weakref.finalize(self, ort.release, "Session", self._session)
        self._end.atexit = False
        self.inputs = self._ends("Input")
        self.outputs = self._ends("Output")

    def run(self, inputs: Sequence[Array], *, hold: bool) -> list[Array]:
        """Compute the outputs of *inputs*, which stand in the graph's order.

        With *hold* no other Python thread runs meanwhile. Raises OnnxFailure.
        """
        ort, values = self._ort, (P * len(inputs))()
        results = (P * len(self.outputs))()
        kept: list[Array] = []
        try:
            for position, (given, end) in enumerate(zip(inputs, self.inputs, strict=True)):
                array: Array = np.ascontiguousarray(given, dtype=_ELEMENTS[end.element])
                kept.append(array)
                values[position] = self._value(array, end.element)
            names = (ctypes.c_char_p * len(inputs))(*(end.name for end in self.inputs))
            wanted = (ctypes.c_char_p * len(results))(*(end.name for end in self.outputs))
            asked = (self._session, None, names, values, len(inputs), wanted, len(results), results)
            ort.call("Run", *asked, hold=hold)
            return [self._array(result) for result in results if result]
        finally:
            for value in (*values, *results):
                if value:
                    ort.release("Value", value)

    def close(self) -> None:
        """Give the session back."""
        self._end()

    def _ends(self, side: str) -> list[End]:
        """List the inputs or the outputs."""
        ort = self._ort
        ends: list[End] = []
        for index in range(ort.number(f"SessionGet{side}Count", self._session)):
            name = ort.make(f"SessionGet{side}Name", self._session, index, ort.allocator)
            text = ctypes.string_at(name)
            ort.call("AllocatorFree", ort.allocator, name)
            kind = ort.make(f"SessionGet{side}TypeInfo", self._session, index)
            element, dims = self._tensor_info(ort.make("CastTypeInfoToTensorInfo", kind))
            ort.release("TypeInfo", kind)
            if element not in _ELEMENTS:
                raise OnnxFailure(f"{text.decode()}: element type {element} is not supported")
            ends.append(End(text, element, dims))
        return ends

    def _value(self, array: Array, element: int) -> int:
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        made = P()
        self._ort.call(
            "CreateTensorWithDataAsOrtValue",
            self._ort.cpu_memory,
            array.ctypes.data,
            array.nbytes,
            dims,
            array.ndim,
            element,
            ctypes.byref(made),
        )
        return made.value or 0

    def _array(self, value: int) -> Array:
        ort = self._ort
        info = ort.make("GetTensorTypeAndShape", value)
        element, dims = self._tensor_info(info)
        ort.release("TensorTypeAndShapeInfo", info)
        kind = np.dtype(_ELEMENTS[element])
        size = prod(dims) * kind.itemsize
        data = ctypes.string_at(ort.make("GetTensorMutableData", value), size) if size else b""
        return np.frombuffer(data, kind).reshape(dims)

    def _tensor_info(self, info: int) -> tuple[int, tuple[int, ...]]:
        """Give element type and dims, -1 where an axis is free."""
        ort = self._ort
        element = ort.number("GetTensorElementType", info)
        count = ort.number("GetDimensionsCount", info)
        dims = (ctypes.c_int64 * count)()
        ort.call("GetDimensions", info, dims, count)
        return element, tuple(dims)
