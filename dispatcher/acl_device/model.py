"""A loaded model: what the device says of it, its buffers, and its runs.

A model with batch gears has one set of buffers, of the largest gear: a smaller one uses their
beginning. So memory is taken when the model is loaded and never after.
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
from dispatcher.acl_device.pixel_unit import set_pixel_unit
from dispatcher.acl_device.session import Session
from dispatcher.acl_device.tensors import DTYPES, free_batch, output_names
from dispatcher.cards.card import InputSpec
from dispatcher.runtime import TensorSpec
from omfile.facts import BATCH_GEAR_INPUT, DYNAMIC_AIPP_INPUT
from pipeline.errors import InvalidSettings, ModelFault


class AclModel:
    """Loads the OM at *path* when constructed, keeping nothing if that fails.

    Raises AclFailure where ACL refuses it, InvalidSettings where gw cannot run it. *spec* sets a
    pixel unit that wants to be set. Load, run and close in the thread that opened *session*.
    """

    def __init__(self, session: Session, path: Path, spec: InputSpec) -> None:
        self._session = session
        with ExitStack() as opened:
            self._model_id, code = acl.mdl.load_from_file(str(path))
            check("acl.mdl.load_from_file", code)
            opened.callback(lambda: check("acl.mdl.unload", acl.mdl.unload(self._model_id)))
            self._desc = check_handle("acl.mdl.create_desc", acl.mdl.create_desc())
            opened.callback(lambda: check("acl.mdl.destroy_desc", acl.mdl.destroy_desc(self._desc)))
            check("acl.mdl.get_desc", acl.mdl.get_desc(self._desc, self._model_id))
            self._describe(path)
            self._inputs = Dataset(self._input_sizes, session.run_mode)
            opened.callback(self._inputs.close)
            self._outputs = Dataset(self._output_sizes, session.run_mode)
            opened.callback(self._outputs.close)
            if self._pixel_unit_index is not None:
                set_pixel_unit(
                    self._model_id,
                    self._inputs.handle,
                    self._pixel_unit_index,
                    batch=self._largest_batch,
                    spec=spec,
                )
            # The gear that the hidden input's buffer holds.
            self._gear: int | None = None
            self._checked_gears: set[int] = set()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Unload the model and free its buffers. Closing again does nothing."""
        self._opened.close()

    def new_outputs(self, batch_size: int) -> dict[str, NDArray[Any]]:
        """Give arrays for the outputs of *batch_size* items, in the file's order."""
        return {
            spec.name: np.empty((batch_size, *spec.shape[1:]), spec.dtype) for spec in self.outputs
        }

    def run(self, items: NDArray[Any], gear: int, outputs: Sequence[NDArray[Any]]) -> None:
        """Run *items*, padded with zeros to *gear*, and fill *outputs* with one entry each.

        All arrays are C-contiguous. Raises AclFailure, or ModelFault for outputs of other shapes
        than the model told.
        """
        self._choose(gear)
        pixels = self._inputs.buffers[self._pixels_index]
        pixels.write(items)
        if len(items) < gear:
            item_bytes = items.nbytes // len(items)
            # What an earlier batch left there could bring this one down.
            pixels.zero_from(items.nbytes, (gear - len(items)) * item_bytes)
        self._session.run(self._model_id, self._inputs.handle, self._outputs.handle)
        self._check_shapes(gear)
        for buffer, values in zip(self._outputs.buffers, outputs, strict=True):
            buffer.read_into(values)

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
        self._largest_batch = max(self.batch_sizes)

    def _input(self, index: int, name: str) -> TensorSpec:
        # Behind AIPP this is the picture's shape, where the plain dims are the model's own.
        dims, code = acl.mdl.get_input_dims_v2(self._desc, index)
        check("acl.mdl.get_input_dims_v2", code)
        dtype = acl.mdl.get_input_data_type(self._desc, index)
        return TensorSpec(name=name, shape=tuple(dims["dims"]), dtype=_dtype_name(dtype))

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

    def _choose(self, gear: int) -> None:
        """Write *gear* to the hidden input, where it is not there from the last run."""
        if self._gear_index is None or gear == self._gear:
            return
        self._gear = None
        code = acl.mdl.set_dynamic_batch_size(
            self._model_id, self._inputs.handle, self._gear_index, gear
        )
        check("acl.mdl.set_dynamic_batch_size", code)
        self._gear = gear

    def _check_shapes(self, gear: int) -> None:
        """Ask after the first run of *gear* whether the outputs are what they should be."""
        if gear in self._checked_gears:
            return
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
        self._checked_gears.add(gear)


def _dtype_name(dtype: int) -> str:
    return DTYPES.get(dtype, f"ACL type {dtype}")
