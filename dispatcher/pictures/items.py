"""What a batch is made of: inputs that are laid out, or pictures that the device lays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.cards.card import InputSpec
from dispatcher.pictures.decoding import decode_picture
from dispatcher.pictures.geometry import Placement
from dispatcher.pictures.tensors import write_tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedItem:
    """A JPEG that the device decodes: *data* is its bytes, uint8 in one piece.

    *placement* says how it lies in an input of *shape* and *dtype*, whoever decodes it.
    """

    data: NDArray[np.uint8]
    placement: Placement
    shape: tuple[int, ...]
    dtype: str

    def on_cpu(self, spec: InputSpec) -> NDArray[Any]:
        """Give the input as OpenCV makes it; raises UndecodablePicture."""
        placement = self.placement
        max_pixels = placement.picture_width_px * placement.picture_height_px
        pixels = decode_picture(self.data.tobytes(), target=spec, max_pixels=max_pixels)
        out = np.empty(self.shape, self.dtype)
        write_tensor(pixels, placement, spec, out)
        return out


#: One picture's input, without the batch axis.
Item = NDArray[Any] | EncodedItem
