"""A loaded model: what the device says of it, and its two sets of buffers.

A model with batch gears has buffers of the largest gear: a smaller one uses their beginning. Memory
is taken when the model is loaded and never after. One batch is written to the second set while
another runs on the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Any

import acl  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from numpy.typing import NDArray

from dispatcher.acl_device.calls import check, check_handle
from dispatcher.acl_device.datasets import Dataset
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.pixel_unit import set_pixel_unit
from dispatcher.acl_device.session import Session
from dispatcher.acl_device.tensors import DTYPES, SLOTS, free_batch, input_shape, output_names
from dispatcher.cards.card import InputSpec, PictureDecoder
from dispatcher.pictures.items import Item
from dispatcher.runtime import TensorSpec
from omfile.facts import BATCH_GEAR_INPUT, DYNAMIC_AIPP_INPUT
from pipeline.errors import ContractBroken, InvalidSettings, ModelFault


class Slot:
    """Buffers for one batch of a model; raises AclFailure, and keeps nothing then."""

    def __init__(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        session: Session,
        pictures_at: int | None,
    ) -> None:
        with ExitStack() as opened:
            for_pictures = () if pictures_at is None else (pictures_at,)
            self.inputs = Dataset(inputs, session.run_mode, for_pictures=for_pictures)
            opened.callback(self.inputs.close)
            self.outputs = Dataset(outputs, session.run_mode)
            opened.callback(self.outputs.close)
            # The gear that the hidden input's buffer holds.
            self.gear: int | None = None
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Free the buffers. Closing again does nothing."""
        self._opened.close()


class AclModel:
    """Loads the OM at *path* when constructed, keeping nothing if that fails.

    Raises AclFailure where ACL refuses it, InvalidSettings where gw cannot run it. *spec* sets a
    pixel unit that wants to be set. Load, run and close in the context of *session*.
    """

    def __init__(self, session: Session, path: Path, spec: InputSpec) -> None:
        self.spec = spec
        self._session = session
        with ExitStack() as opened:
            self._model_id, code = acl.mdl.load_from_file(str(path))
            check("acl.mdl.load_from_file", code)
            opened.callback(lambda: check("acl.mdl.unload", acl.mdl.unload(self._model_id)))
            self._desc = check_handle("acl.mdl.create_desc", acl.mdl.create_desc())
            opened.callback(lambda: check("acl.mdl.destroy_desc", acl.mdl.destroy_desc(self._desc)))
            check("acl.mdl.get_desc", acl.mdl.get_desc(self._desc, self._model_id))
            self._describe(path)
            self._free = [self._new_slot(opened) for _ in range(SLOTS)]
            # The gear that was set last, in whichever slot: the device keeps one for the model.
            self._gear: int | None = None
            self._checked_gears: set[int] = set()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Unload the model and free its buffers. Closing again does nothing."""
        self._opened.close()

    @property
    def largest_batch(self) -> int:
        """How many items a run takes at most."""
        return max(self.batch_sizes)

    @property
    def item_bytes(self) -> int:
        """How far one item lies behind the other in a slot's pixels."""
        spec = self.inputs[0]
        return prod(spec.shape[1:]) * np.dtype(spec.dtype).itemsize

    def check_item(self, item: Item) -> None:
        """Raise ModelFault for an item that is not laid out as the model's input."""
        wanted = self.inputs[0]
        if tuple(item.shape) != wanted.shape[1:] or item.dtype != wanted.dtype:
            raise ModelFault(
                f"the model takes {wanted}, not items of {item.dtype} {list(item.shape)}"
            )

    def take_slot(self) -> Slot:
        """Take buffers for a batch; raises ContractBroken while all are taken."""
        if not self._free:
            raise ContractBroken("a third batch of a model is brought to the device")
        return self._free.pop()

    def give_back(self, slot: Slot) -> None:
        """Give back what take_slot gave, once the device is through with it."""
        self._free.append(slot)

    def pixels(self, slot: Slot) -> DeviceBuffer:
        """Give the buffer that items are written to, one behind the other."""
        return slot.inputs.buffers[self._pixels_index]

    def launch(self, slot: Slot, gear: int) -> None:
        """Have the device run *slot* in a batch of *gear*; raises AclFailure."""
        if self._gear_index is not None and not self._gear == slot.gear == gear:
            self._gear = slot.gear = None
            code = acl.mdl.set_dynamic_batch_size(
                self._model_id, slot.inputs.handle, self._gear_index, gear
            )
            check("acl.mdl.set_dynamic_batch_size", code)
            self._gear = slot.gear = gear
        self._session.launch(self._model_id, slot.inputs.handle, slot.outputs.handle)

    def finish(self, gear: int) -> None:
        """Wait for the end of the run; raises AclFailure.

        Raises ModelFault for outputs of other shapes than the model told, which is asked after the
        first run of *gear*.
        """
        self._session.finish()
        if gear not in self._checked_gears:
            self._check_shapes(gear)
            self._checked_gears.add(gear)

    def _new_slot(self, opened: ExitStack) -> Slot:
        decodes = self.spec.decode is PictureDecoder.DVPP
        pictures_at = self._pixels_index if decodes else None
        slot = Slot(self._input_sizes, self._output_sizes, self._session, pictures_at)
        opened.callback(slot.close)
        if self._pixel_unit_index is not None:
            set_pixel_unit(
                self._model_id,
                slot.inputs.handle,
                self._pixel_unit_index,
                batch=self.largest_batch,
                spec=self.spec,
            )
        return slot

    def _describe(self, path: Path) -> None:
        """Read the description; raises InvalidSettings for what gw cannot feed or read."""
        desc, mdl = self._desc, acl.mdl
        count = mdl.get_num_inputs(desc)
        names = [mdl.get_input_name_by_index(desc, index) for index in range(count)]
        hidden = (BATCH_GEAR_INPUT, DYNAMIC_AIPP_INPUT)
        visible = [index for index, name in enumerate(names) if name not in hidden]
        self._gear_index = names.index(hidden[0]) if hidden[0] in names else None
        self._pixel_unit_index = names.index(hidden[1]) if hidden[1] in names else None
        self._pixels_index = visible[0] if visible else 0
        self._input_sizes = [mdl.get_input_size_by_index(desc, i) for i in range(count)]
        self.inputs = tuple(self._input(index, names[index]) for index in visible)
        gears = self._batch_gears()
        if self._gear_index is not None and not gears:
            raise InvalidSettings(f"{path} has gears that are not of the batch: convert it again")
        self._output_sizes = [
            mdl.get_output_size_by_index(desc, i) for i in range(mdl.get_num_outputs(desc))
        ]
        if 0 in (*self._input_sizes, *self._output_sizes):
            raise InvalidSettings(
                f"{path} does not say how large its inputs and outputs are: "
                "convert it again with fixed shapes or batch gears"
            )
        self.outputs = tuple(self._output_specs(gears))
        batch = self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else 1
        self.batch_sizes: tuple[int, ...] = gears or (batch,)

    def _input(self, index: int, name: str) -> TensorSpec:
        # Behind AIPP this is the picture's shape, where the plain dims are the model's own.
        dims, code = acl.mdl.get_input_dims_v2(self._desc, index)
        check("acl.mdl.get_input_dims_v2", code)
        dtype = acl.mdl.get_input_data_type(self._desc, index)
        shape = tuple(dims["dims"])
        if self._pixel_unit_index is not None:
            shape = input_shape(shape, self.spec)
        return TensorSpec(name=name, shape=shape, dtype=_dtype_name(dtype))

    def _output_specs(self, gears: Sequence[int]) -> Iterator[TensorSpec]:
        desc, mdl = self._desc, acl.mdl
        count = mdl.get_num_outputs(desc)
        names = output_names([mdl.get_output_name_by_index(desc, index) for index in range(count)])
        for index, name in enumerate(names):
            dims, code = mdl.get_output_dims(desc, index)
            check("acl.mdl.get_output_dims", code)
            dtype = mdl.get_output_data_type(desc, index)
            shape = free_batch(dims["dims"], gears)
            yield TensorSpec(name=name, shape=shape, dtype=_dtype_name(dtype))

    def _batch_gears(self) -> tuple[int, ...]:
        if self._gear_index is None:
            return ()
        gears, code = acl.mdl.get_dynamic_batch(self._desc)
        check("acl.mdl.get_dynamic_batch", code)
        return tuple(sorted(gears["batch"][: gears["batchCount"]]))

    def _check_shapes(self, gear: int) -> None:
        for index, (spec, size_bytes) in enumerate(
            zip(self.outputs, self._output_sizes, strict=True)
        ):
            dims, code = acl.mdl.get_cur_output_dims(self._desc, index)
            check("acl.mdl.get_cur_output_dims", code)
            shape = (gear, *spec.shape[1:])
            needed_bytes = prod(shape) * np.dtype(spec.dtype).itemsize
            if tuple(dims["dims"]) != shape or needed_bytes > size_bytes:
                raise ModelFault(
                    f"the model gave its output {spec.name!r} the shape {tuple(dims['dims'])} "
                    f"for a batch of {gear}; expected {shape} in {size_bytes} bytes"
                )


def read_outputs(slot: Slot, outputs: Sequence[NDArray[Any]]) -> None:
    """Fill *outputs*, C-contiguous, from the beginnings of the slot's; raises AclFailure."""
    for buffer, values in zip(slot.outputs.buffers, outputs, strict=True):
        buffer.read_into(values)


def _dtype_name(dtype: int) -> str:
    return DTYPES.get(dtype, f"ACL type {dtype}")
