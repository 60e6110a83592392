"""Placements and outputs that the decoder tests share."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from dispatcher.cards.card import InputSpec, ResizeMode
from dispatcher.decoders import NamedOutput
from dispatcher.pictures.geometry import Placement, plan


def letterboxed(picture_size_px: tuple[int, int] = (1280, 640), side_px: int = 640) -> Placement:
    """Place a picture in a square input; by default at half its size, 160 rows from the top."""
    spec = InputSpec(width_px=side_px, height_px=side_px, resize=ResizeMode.LETTERBOX)
    return plan(picture_size_px, spec)


def stretched(width_px: int, height_px: int, *, grow: int = 1) -> Placement:
    """Place a picture in an input of the given size, of which it is *grow* times the size."""
    return plan(
        (width_px * grow, height_px * grow), InputSpec(width_px=width_px, height_px=height_px)
    )


def single(values: NDArray[Any], name: str = "output0") -> list[NamedOutput]:
    """Wrap one array, batch axis included, as the outputs of a model."""
    return [NamedOutput(name=name, values=values)]
