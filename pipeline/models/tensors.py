"""Raw tensors: their data types, and what is known of one without its values.

Values are little-endian, row-major and without padding, wherever they lie. A job's input lies in
the blob store under the job's id, its outputs one after the other in one file of what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

#: What the Open Inference Protocol calls a type, and numpy's name for it.
DATATYPES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}

#: What one element takes.
ELEMENT_BYTES: Mapping[str, int] = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}

_DATATYPE_OF = {dtype: datatype for datatype, dtype in DATATYPES.items()}


def datatype_of(dtype: str) -> str:
    """Give the datatype of a numpy name, "" where the protocol has none."""
    return _DATATYPE_OF.get(dtype, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFacts:
    """A tensor's name, datatype and shape; where it describes a model, -1 is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Give how many elements it has; no dimension may be free."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Give what its values take; no dimension may be free."""
        return self.elements * ELEMENT_BYTES[self.datatype]

    def takes(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of *shape* fits these dimensions, of which some may be free."""
        return len(shape) == len(self.shape) and all(
            wanted in (-1, given) for wanted, given in zip(self.shape, shape, strict=True)
        )

    def to_list(self) -> list[Any]:
        """Give the wire form, ``[name, datatype, [dimension, ...]]``."""
        return [self.name, self.datatype, list(self.shape)]

    @classmethod
    def from_list(cls, document: Sequence[Any]) -> Self:
        """Parse what :meth:`to_list` gave; raises TypeError or ValueError."""
        name, datatype, shape = document
        if not isinstance(name, str) or datatype not in DATATYPES:
            raise ValueError(f"no tensor: {name!r} {datatype!r}")
        return cls(name=name, datatype=datatype, shape=tuple(int(each) for each in shape))
