"""Datasets: the buffers of a model's inputs, or of its outputs, in the model's order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check, check_handle
from dispatcher.acl_device.memory import DeviceBuffer
from dispatcher.acl_device.session import RunMode


class Dataset:
    """A new buffer for each of *sizes_bytes*; raises AclFailure, and keeps nothing then.

    Those at the positions *for_pictures* are memory that the picture units can write to.
    """

    def __init__(
        self,
        sizes_bytes: Iterable[int],
        run_mode: RunMode,
        *,
        for_pictures: Collection[int] = (),
    ) -> None:
        with ExitStack() as opened:
            buffers: list[DeviceBuffer] = []
            handles: list[int] = []
            for index, size_bytes in enumerate(sizes_bytes):
                buffer = DeviceBuffer(size_bytes, run_mode, for_pictures=index in for_pictures)
                opened.callback(buffer.free)
                buffers.append(buffer)
                handle = acl.create_data_buffer(buffer.address, size_bytes)
                check_handle("acl.create_data_buffer", handle)
                opened.callback(_destroy_data_buffer, handle)
                handles.append(handle)
            # Last, so that it is destroyed first: it refers to all the others.
            self.handle = check_handle("acl.mdl.create_dataset", acl.mdl.create_dataset())
            opened.callback(_destroy_dataset, self.handle)
            for handle in handles:
                _, code = acl.mdl.add_dataset_buffer(self.handle, handle)
                check("acl.mdl.add_dataset_buffer", code)
            self.buffers: Sequence[DeviceBuffer] = tuple(buffers)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Give everything back. Closing again does nothing."""
        self._opened.close()


def _destroy_dataset(handle: int) -> None:
    check("acl.mdl.destroy_dataset", acl.mdl.destroy_dataset(handle))


def _destroy_data_buffer(handle: int) -> None:
    check("acl.destroy_data_buffer", acl.destroy_data_buffer(handle))
