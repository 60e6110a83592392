"""What a runtime hands to a decoder: named arrays with the batch axis first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelFault


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedOutput:
    """One model output: *values* has the batch as its first axis, any dtype."""

    name: str
    values: NDArray[Any]

    def item(self, item: int) -> NDArray[Any]:
        """View one picture's part; raises ModelFault where the batch is shorter."""
        if self.values.ndim == 0 or not 0 <= item < self.values.shape[0]:
            raise ModelFault(
                f"The model's output {self.name!r} has the shape {self.values.shape}; "
                f"expected at least {item + 1} along the first axis."
            )
        return self.values[item]  # type: ignore[no-any-return]  # of an array of any dtype

    def wrong_shape(self, expected: str) -> ModelFault:
        """Build the error that names the shape got and the shape *expected*."""
        return ModelFault(
            f"The model's output {self.name!r} has the shape {self.values.shape}; "
            f"expected {expected}."
        )


def first_output(outputs: Sequence[NamedOutput]) -> NamedOutput:
    """Give the output that a decoder of one output reads; further ones are not looked at."""
    if not outputs:
        raise ModelFault("The model gave no output; expected at least one.")
    return outputs[0]


def as_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Give *values* as float32, without a copy where they are that already.

    What is too large becomes infinite, and is for the decoder to drop.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, dtype=np.float32)
