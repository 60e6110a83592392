"""Warming up: a run of every size that a model computes, before its first job."""

from __future__ import annotations

import numpy as np

from dispatcher.cards.card import Layout, ModelCard, ResizeMode
from dispatcher.runtime import ModelDescription, Runtime


def warm_up(runtime: Runtime, loaded: ModelDescription, key: str, card: ModelCard) -> None:
    """Run black pictures through *key*, which was just *loaded*; takes it off if one fails.

    What compiles or allocates at the first run of a size does so now. Raises what a run raises.
    """
    dtype = np.dtype(card.input.dtype)
    try:
        for size in loaded.batch_sizes or sorted({1, card.batching.max_size}):
            runtime.infer(key, np.zeros((size, *_item_shape(card)), dtype))
    except BaseException:
        runtime.unload(key)
        raise


def _item_shape(card: ModelCard) -> tuple[int, int, int]:
    """Give the shape of a picture's input; in mode ``free``, of the smallest."""
    spec = card.input
    free = spec.resize is ResizeMode.FREE
    width, height = (spec.min_side_px,) * 2 if free else (spec.width_px, spec.height_px)
    if free:
        multiple = spec.side_multiple_px
        width = height = max(multiple, -(-width // multiple) * multiple)
    match spec.layout:
        case Layout.NCHW:
            return 3, height, width
        case Layout.NHWC:
            return height, width, 3
        case Layout.NV12:
            return height * 3 // 2, width, 1
