"""A batch on the device: its items brought there, then run, then read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from dispatcher.acl_device.dvpp.feeder import Feeder, Target
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.model import AclModel, Slot, read_outputs
from dispatcher.pictures.items import EncodedItem, Item
from pipeline.errors import ContractBroken


@contextmanager
def blamed_on_batch() -> Iterator[None]:
    """Turn a failure of ACL into the error that a batch ends with."""
    try:
        yield
    except AclFailure as failure:
        raise failure.on_infer() from failure


class StagedRun:
    """Brings *items* to a free slot of *model* when constructed, keeping nothing if that fails.

    *feeder* decodes items; what it cannot decode OpenCV does, here and now. Raises the errors of
    ``dispatcher.runtime.StagedBatch``, which this is one of.
    """

    def __init__(self, model: AclModel, items: Sequence[Item], feeder: Feeder | None) -> None:
        self._model = model
        self._gear = min(gear for gear in model.batch_sizes if gear >= len(items))
        self._slot: Slot | None = model.take_slot()
        self.fell_back: Mapping[int, str] = {}
        try:
            with blamed_on_batch():
                self._fill(self._slot, items, feeder)
        except BaseException:
            self.release()
            raise

    def start(self) -> None:
        """Have the device begin."""
        with blamed_on_batch():
            self._model.launch(self._held(), self._gear)

    def wait(self) -> None:
        """Wait until it is through."""
        with blamed_on_batch():
            self._model.finish(self._gear)

    def collect(self, outputs: Sequence[NDArray[Any]]) -> None:
        """Fill *outputs* with an entry for each item."""
        with blamed_on_batch():
            read_outputs(self._held(), outputs)

    def release(self) -> None:
        """Give the slot back. Releasing again does nothing."""
        slot, self._slot = self._slot, None
        if slot is not None:
            self._model.give_back(slot)

    def _fill(self, slot: Slot, items: Sequence[Item], feeder: Feeder | None) -> None:
        pixels = self._model.pixels(slot)
        item_bytes = self._model.item_bytes
        encoded: dict[int, EncodedItem] = {}
        for position, item in enumerate(items):
            self._model.check_item(item)
            if isinstance(item, EncodedItem):
                encoded[position] = item
            else:
                pixels.write(item, at_bytes=position * item_bytes)
        if encoded:
            target = Target(buffer=pixels, item_bytes=item_bytes, spec=self._model.spec)
            self.fell_back = self._decode(encoded, target, feeder)
        if len(items) < self._gear:
            # What an earlier batch left there could bring this one down.
            pixels.zero_from(len(items) * item_bytes, (self._gear - len(items)) * item_bytes)

    def _decode(
        self, encoded: Mapping[int, EncodedItem], target: Target, feeder: Feeder | None
    ) -> Mapping[int, str]:
        if feeder is None:
            raise ContractBroken("a picture is to be decoded for a model that does not ask for it")
        fell_back = feeder.write(encoded, target)
        for position in fell_back:
            pixels = encoded[position].on_cpu(self._model.spec)
            target.buffer.write(pixels, at_bytes=position * target.item_bytes)
        return fell_back

    def _held(self) -> Slot:
        if self._slot is None:
            raise ContractBroken("a batch is used after its release")
        return self._slot
