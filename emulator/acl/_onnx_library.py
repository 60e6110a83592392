"""ONNX Runtime through its C interface, so that a run can keep the interpreter lock.

The Python interface always releases the lock during a run. The functions of the C interface stand
in a table whose order is fixed for good; each is used twice: one prototype keeps the lock
(``PYFUNCTYPE``), the other releases it (``CFUNCTYPE``).
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

P = ctypes.c_void_p
_SIZE = ctypes.c_size_t

# Positions in OrtApi of onnxruntime_c_api.h.
_POSITIONS: dict[str, tuple[int, tuple[Any, ...]]] = {
    "GetErrorMessage": (2, (P,)),
    "CreateEnv": (3, (ctypes.c_int, ctypes.c_char_p, P)),
    "CreateSessionFromArray": (8, (P, P, _SIZE, P, P)),
    "Run": (9, (P, P, P, P, _SIZE, P, _SIZE, P)),
    "CreateSessionOptions": (10, (P,)),
    "SetIntraOpNumThreads": (24, (P, ctypes.c_int)),
    "SessionGetInputCount": (30, (P, P)),
    "SessionGetOutputCount": (31, (P, P)),
    "SessionGetInputTypeInfo": (33, (P, _SIZE, P)),
    "SessionGetOutputTypeInfo": (34, (P, _SIZE, P)),
    "SessionGetInputName": (36, (P, _SIZE, P, P)),
    "SessionGetOutputName": (37, (P, _SIZE, P, P)),
    "CreateTensorWithDataAsOrtValue": (49, (P, P, _SIZE, P, _SIZE, ctypes.c_int, P)),
    "GetTensorMutableData": (51, (P, P)),
    "CastTypeInfoToTensorInfo": (55, (P, P)),
    "GetTensorElementType": (60, (P, P)),
    "GetDimensionsCount": (61, (P, P)),
    "GetDimensions": (62, (P, P, _SIZE)),
    "GetTensorTypeAndShape": (65, (P, P)),
    "CreateCpuMemoryInfo": (69, (ctypes.c_int, ctypes.c_int, P)),
    "AllocatorFree": (76, (P, P)),
    "GetAllocatorWithDefaultOptions": (78, (P,)),
    "ReleaseStatus": (93, (P,)),
    "ReleaseSession": (95, (P,)),
    "ReleaseValue": (96, (P,)),
    "ReleaseTypeInfo": (98, (P,)),
    "ReleaseTensorTypeAndShapeInfo": (99, (P,)),
    "ReleaseSessionOptions": (100, (P,)),
}
_API_VERSION = 12


class OnnxFailure(Exception):
    """ONNX Runtime refused a model or a run, or is not installed."""


class Library:
    """The functions of ONNX Runtime, and the one environment that its sessions share."""

    def __init__(self) -> None:
        api = _api_address()
        table = ctypes.cast(api, ctypes.POINTER(P))
        self._held: dict[str, Callable[..., Any]] = {}
        self._released: dict[str, Callable[..., Any]] = {}
        for name, (position, arguments) in _POSITIONS.items():
            result = None if name.startswith("Release") else P
            address = table[position] or 0
            self._held[name] = ctypes.PYFUNCTYPE(result, *arguments)(address)
            self._released[name] = ctypes.CFUNCTYPE(result, *arguments)(address)
        self.environment = self.make("CreateEnv", 3, b"acl-emulator")
        self.cpu_memory = self.make("CreateCpuMemoryInfo", 1, 0)
        self.allocator = self.make("GetAllocatorWithDefaultOptions")

    def call(self, name: str, *arguments: object, hold: bool = True) -> None:
        """Call a function that gives a status. Raises OnnxFailure."""
        status = (self._held if hold else self._released)[name](*arguments)
        if status:
            text = ctypes.string_at(self._held["GetErrorMessage"](status)).decode(
                "utf-8", "replace"
            )
            self._held["ReleaseStatus"](status)
            raise OnnxFailure(text)

    def make(self, name: str, *arguments: object) -> int:
        """Call a function whose last argument takes a pointer, and give that pointer."""
        made = P()
        self.call(name, *arguments, ctypes.byref(made))
        return made.value or 0

    def number(self, name: str, *arguments: object) -> int:
        """Call a function whose last argument takes a size or an enumeration."""
        made = _SIZE()
        self.call(name, *arguments, ctypes.byref(made))
        return made.value

    def release(self, name: str, thing: int) -> None:
        """Give *thing* back."""
        self._held[f"Release{name}"](thing)


@functools.cache
def library() -> Library:
    """Give the loaded library. Raises OnnxFailure where ONNX Runtime is not installed."""
    return Library()


def _api_address() -> int:
    try:
        from onnxruntime.capi import onnxruntime_pybind11_state as binding  # noqa: PLC0415
    except ImportError as error:
        raise OnnxFailure(f"ONNX Runtime is needed to compute a model: {error}") from error
    here = Path(binding.__file__)
    candidates = [*sorted(here.parent.glob("libonnxruntime.*")), here]
    for candidate in candidates:
        loaded = ctypes.CDLL(str(candidate))
        try:
            base = loaded.OrtGetApiBase
        except AttributeError:
            continue
        base.restype = ctypes.POINTER(P)
        get_api = ctypes.CFUNCTYPE(P, ctypes.c_uint32)(base()[0])
        if address := get_api(_API_VERSION):
            return int(address)
    raise OnnxFailure("this build of ONNX Runtime does not show its C interface")
