"""An open device: one process's context, stream and run mode."""

from __future__ import annotations

from contextlib import ExitStack
from enum import IntEnum
from types import TracebackType
from typing import Self

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check
from dispatcher.acl_device.codes import REPEAT_INITIALIZE, Meaning
from dispatcher.acl_device.errors import AclFailure

# What get_mem_info is asked for: DDR, which on a 310B is all there is, or HBM, as it maps it.
_MEMORY_KINDS = (0, 1)


class RunMode(IntEnum):
    """Where this program runs: on the board itself, or on a host that the board is plugged into."""

    DEVICE = 0
    HOST = 1


class Session:
    """Opens a device when constructed, for the calling thread; raises AclFailure.

    A batch that runs longer than *timeout_s* is given up as AclFailure 507046; 0 leaves that to
    whoever watches this process. Close it once everything that was made in it is closed.
    *context* is the handle of its context.
    """

    def __init__(self, device_index: int, *, timeout_s: float = 0.0) -> None:
        self._timeout_ms = int(timeout_s * 1000)
        self._device_index = device_index
        self._stream = 0
        self.context: int = 0
        with ExitStack() as opened:
            code = acl.init()
            # Somebody in this process was first. Theirs is the end, too.
            if code != REPEAT_INITIALIZE:
                check("acl.init", code)
                opened.callback(lambda: check("acl.finalize", acl.finalize()))
            check("acl.rt.set_device", acl.rt.set_device(device_index))
            opened.callback(lambda: check("acl.rt.reset_device", acl.rt.reset_device(device_index)))
            self.context, code = acl.rt.create_context(device_index)
            check("acl.rt.create_context", code)
            opened.callback(
                lambda: check("acl.rt.destroy_context", acl.rt.destroy_context(self.context))
            )
            self._open_stream()
            opened.callback(self._close_stream)
            mode, code = acl.rt.get_run_mode()
            check("acl.rt.get_run_mode", code)
            self.run_mode = RunMode(mode)
            self.soc_name: str = acl.get_soc_name() or ""
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stream(self) -> int:
        """Give the handle of the stream; a failed batch may have it replaced."""
        return self._stream

    def close(self) -> None:
        """Give back stream, context and device, and end ACL. Closing again does nothing."""
        self._opened.close()

    def adopt_thread(self) -> None:
        """Make the context the calling thread's too; raises AclFailure."""
        check("acl.rt.set_context", acl.rt.set_context(self.context))

    def launch(self, model_id: int, inputs: int, outputs: int) -> None:
        """Queue a run of a model on two datasets; raises AclFailure.

        Queued, not executed in place: ``execute`` would keep the interpreter lock, and has no limit
        in time.
        """
        code = acl.mdl.execute_async(model_id, inputs, outputs, self._stream)
        check("acl.mdl.execute_async", code)

    def finish(self) -> None:
        """Wait for the end of what was launched; raises AclFailure for what failed in it."""
        try:
            self._synchronize()
        except AclFailure as failure:
            # A stream may keep the error of a failed batch and hold it against the next one. One
            # that still has work cannot be closed; then this process is at its end anyway.
            if failure.code.meaning is Meaning.MODEL:
                self._close_stream()
                self._open_stream()
            raise

    def free_memory_bytes(self) -> int | None:
        """Give how much device memory is free, None where the driver does not tell.

        Raises AclFailure where the device is gone.
        """
        for kind in _MEMORY_KINDS:
            free_bytes, total_bytes, code = acl.rt.get_mem_info(kind)
            if _is_told("acl.rt.get_mem_info", code) and total_bytes > 0:
                return int(free_bytes)
        return None

    def utilization_percent(self) -> float | None:
        """Give how busy the AI Core is, None where the driver does not tell.

        Raises AclFailure where the device is gone.
        """
        if not hasattr(acl.rt, "get_device_utilization_rate"):
            return None
        rates, code = acl.rt.get_device_utilization_rate(self._device_index)
        if not _is_told("acl.rt.get_device_utilization_rate", code):
            return None
        percent = rates.get("cube_utilization", -1)
        return float(percent) if percent is not None and percent >= 0 else None

    def _synchronize(self) -> None:
        if self._timeout_ms and hasattr(acl.rt, "synchronize_stream_with_timeout"):
            code = acl.rt.synchronize_stream_with_timeout(self._stream, self._timeout_ms)
            check("acl.rt.synchronize_stream_with_timeout", code)
        else:
            check("acl.rt.synchronize_stream", acl.rt.synchronize_stream(self._stream))

    def _open_stream(self) -> None:
        stream, code = acl.rt.create_stream()
        check("acl.rt.create_stream", code)
        self._stream = stream

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, 0
        check("acl.rt.destroy_stream", acl.rt.destroy_stream(stream))


def _is_told(call: str, code: int) -> bool:
    """Tell whether *call* gave an answer; raises AclFailure only where the device is gone."""
    try:
        check(call, code)
    except AclFailure as failure:
        if failure.code.meaning is Meaning.DEVICE:
            raise
        return False
    return True
