"""A request for a batch, brought to the device in parts that the pipeline runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatcher.device.arena import SharedMemory, aligned
from dispatcher.device.messages import Infer, OutputPlace, OutputsTooLarge
from dispatcher.device.pipeline import Answer, Part, Pipeline
from dispatcher.pictures.items import EncodedItem, Item
from dispatcher.runtime import StagingRuntime, TensorSpec


class Stager:
    """Brings batches from the shared *memory* to the device, and has *pipeline* run them."""

    def __init__(self, memory: SharedMemory, runtime: StagingRuntime, pipeline: Pipeline) -> None:
        self._memory = memory
        self._runtime = runtime
        self._pipeline = pipeline

    def stage(self, number: int, request: Infer) -> OutputsTooLarge | None:
        """Have *request* run, and be answered under *number*; or give the answer, if it is clear.

        Raises what goes wrong on the way to the device: then the pipeline does not answer.
        """
        places = tuple(self._places(request))
        used_bytes = sum(aligned(_size_bytes(place)) for place in places)
        if used_bytes > request.output_bytes:
            return OutputsTooLarge(needed_bytes=used_bytes)
        outputs = [self._memory.view(place.offset, place.shape, place.dtype) for place in places]
        answer = Answer(
            number=number, count=len(request.offsets), places=places, used_bytes=used_bytes
        )
        items = self._items(request)
        most = self._runtime.largest_stage(request.key)
        for start in range(0, len(items), most):
            stop = min(len(items), start + most)
            self._pipeline.wait_for_room()
            self._stage_part(request.key, items[start:stop], outputs, answer, start)
        return None

    def _stage_part(
        self,
        key: str,
        items: Sequence[Item],
        outputs: Sequence[NDArray[Any]],
        answer: Answer,
        start: int,
    ) -> None:
        staged = self._runtime.stage(key, items)
        stop = start + len(items)
        answer.fell_back += [(start + at, reason) for at, reason in staged.fell_back.items()]
        try:
            self._pipeline.submit(
                Part(
                    staged=staged,
                    outputs=[values[start:stop] for values in outputs],
                    answer=answer,
                    is_last=stop == answer.count,
                )
            )
        except BaseException:
            staged.release()
            raise

    def _places(self, request: Infer) -> Iterator[OutputPlace]:
        """Place the outputs one behind the other, whether or not there is room."""
        offset = request.output_offset
        for spec in self._runtime.output_specs(request.key):
            place = _place(spec, len(request.offsets), offset)
            yield place
            offset += aligned(_size_bytes(place))

    def _items(self, request: Infer) -> Sequence[Item]:
        encoded = request.encoded or (None,) * len(request.offsets)
        items: list[Item] = []
        for offset, picture in zip(request.offsets, encoded, strict=True):
            if picture is None:
                items.append(self._memory.view(offset, request.shape, request.dtype))
                continue
            items.append(
                EncodedItem(
                    data=self._memory.view(offset, (picture.size_bytes,), np.uint8),
                    placement=picture.placement,
                    shape=request.shape,
                    dtype=np.dtype(request.dtype).name,
                )
            )
        return items


def _place(spec: TensorSpec, count: int, offset: int) -> OutputPlace:
    shape = (count, *spec.shape[1:])
    return OutputPlace(name=spec.name, offset=offset, shape=shape, dtype=np.dtype(spec.dtype).str)


def _size_bytes(place: OutputPlace) -> int:
    return math.prod(place.shape) * np.dtype(place.dtype).itemsize
