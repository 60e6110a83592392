"""A channel of the picture units, its stream, and what is queued there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.calls import check, check_handle
from dispatcher.acl_device.codes import Meaning
from dispatcher.acl_device.dvpp.formats import PictureShape, Region
from dispatcher.acl_device.errors import AclFailure


class Channel:
    """Opens a channel in the calling thread's context; raises AclFailure where there is none left.

    Works on *stream*, or on one of its own. Waits for at most *timeout_s*, and then fails with
    507046; 0 waits for as long as it takes. Descriptions that queued work needs are kept until it
    is done.
    """

    def __init__(self, *, stream: int = 0, timeout_s: float = 0.0) -> None:
        self._timeout_ms = int(timeout_s * 1000)
        self._owns_stream = not stream
        self.stream = stream
        self._kept: list[Callable[[], None]] = []
        media = acl.media
        with ExitStack() as opened:
            if self._owns_stream:
                self._open_stream()
                opened.callback(self._close_stream)
            desc = check_handle(
                "acl.media.dvpp_create_channel_desc", media.dvpp_create_channel_desc()
            )
            opened.callback(_destroy, "channel_desc", desc)
            check("acl.media.dvpp_create_channel", media.dvpp_create_channel(desc))
            # Before its description: the other order is refused with 148051.
            opened.callback(_destroy, "channel", desc)
            self.handle = desc
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the channel. Closing again does nothing."""
        self._release()
        self._opened.close()

    def picture(self, shape: PictureShape, address: int, size_bytes: int = 0) -> int:
        """Describe a picture, until the next synchronisation; gives the handle."""
        desc = self.empty_picture(address, size_bytes or shape.size_bytes)
        self._set(desc, "format", shape.format)
        self._set(desc, "width", shape.width_px)
        self._set(desc, "height", shape.height_px)
        self._set(desc, "width_stride", shape.width_stride)
        self._set(desc, "height_stride", shape.height_stride)
        return desc

    def empty_picture(self, address: int, size_bytes: int) -> int:
        """Describe memory for a picture whose shape a unit will tell, likewise."""
        media = acl.media
        desc = check_handle("acl.media.dvpp_create_pic_desc", media.dvpp_create_pic_desc())
        self._kept.append(lambda: _destroy("pic_desc", desc))
        self._set(desc, "data", address)
        self._set(desc, "size", size_bytes)
        return desc

    def region(self, region: Region) -> int:
        """Describe a rectangle, likewise."""
        roi = check_handle(
            "acl.media.dvpp_create_roi_config",
            acl.media.dvpp_create_roi_config(
                region.x_px,
                region.x_px + region.width_px - 1,
                region.y_px,
                region.y_px + region.height_px - 1,
            ),
        )
        self._kept.append(lambda: _destroy("roi_config", roi))
        return roi

    def settings(self, kind: str) -> int:
        """Make the settings of a unit (*kind* is "resize" or "jpege"), likewise."""
        call = f"dvpp_create_{kind}_config"
        config = check_handle(f"acl.media.{call}", getattr(acl.media, call)())
        self._kept.append(lambda: _destroy(f"{kind}_config", config))
        return config

    def synchronize(self, *, before_release: Callable[[], None] | None = None) -> None:
        """Wait until all that is queued is done; raises AclFailure for the first that failed.

        *before_release* runs while the descriptions are still there to be read.
        """
        try:
            if self._timeout_ms and hasattr(acl.rt, "synchronize_stream_with_timeout"):
                code = acl.rt.synchronize_stream_with_timeout(self.stream, self._timeout_ms)
                check("acl.rt.synchronize_stream_with_timeout", code)
            else:
                check("acl.rt.synchronize_stream", acl.rt.synchronize_stream(self.stream))
        except AclFailure as failure:
            # A device that is lost may still be at it: then nothing is given back.
            if failure.code.meaning is not Meaning.DEVICE:
                self._release()
                self._renew_stream()
            raise
        if before_release is not None:
            before_release()
        self._release()

    def drop(self) -> None:
        """Wait for what is queued, whatever becomes of it; only a lost device raises."""
        try:
            self.synchronize()
        except AclFailure as failure:
            if failure.code.meaning is Meaning.DEVICE:
                raise

    def _release(self) -> None:
        """Destroy the descriptions of work that is done."""
        kept, self._kept = self._kept, []
        for destroy in reversed(kept):
            destroy()

    def _renew_stream(self) -> None:
        """Replace a stream that may keep its error and hold it against the next picture."""
        if self._owns_stream:
            self._close_stream()
            self._open_stream()

    def _open_stream(self) -> None:
        stream, code = acl.rt.create_stream()
        check("acl.rt.create_stream", code)
        self.stream = stream

    def _close_stream(self) -> None:
        stream, self.stream = self.stream, 0
        check("acl.rt.destroy_stream", acl.rt.destroy_stream(stream))

    @staticmethod
    def _set(desc: int, field: str, value: int) -> None:
        call = f"dvpp_set_pic_desc_{field}"
        check(f"acl.media.{call}", getattr(acl.media, call)(desc, value))


def _destroy(what: str, handle: int) -> None:
    call = f"dvpp_destroy_{what}"
    check(f"acl.media.{call}", getattr(acl.media, call)(handle))
