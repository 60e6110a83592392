"""The device opened for a program, and the list of what lives on it."""

from __future__ import annotations

import atexit
import weakref
from contextlib import suppress
from typing import Protocol

import acl  # type: ignore[import-not-found, unused-ignore]

from acllite import acllite_logger
from acllite import constants as const
from acllite.acllite_utils import AclLiteError
from dispatcher.acl_device.errors import AclFailure
from dispatcher.acl_device.session import Session


class Destroyable(Protocol):
    """What lives on the device."""

    def destroy(self) -> None:
        """Give everything back; calling it again does nothing."""
        ...


class _ResourceList:
    """What lives on the device, newest last; destroyed before the device is given back.

    Nothing is kept alive by being listed.
    """

    def __init__(self) -> None:
        self._resources: dict[int, weakref.ref[Destroyable]] = {}

    def register(self, resource: Destroyable) -> None:
        """Note that *resource* lives on the device."""
        self._resources[id(resource)] = weakref.ref(resource)

    def unregister(self, resource: Destroyable) -> None:
        """Note that *resource* does not live there any more. Unknown ones are passed over."""
        self._resources.pop(id(resource), None)

    def destroy(self) -> None:
        """Destroy everything, newest first; what fails is told and passed over."""
        references, self._resources = list(self._resources.values()), {}
        for reference in reversed(references):
            resource = reference()
            try:
                if resource is not None:
                    resource.destroy()
            except Exception as exc:
                acllite_logger.log_warning(f"{type(resource).__name__} was not destroyed: {exc}")


resource_list = _ResourceList()
# For programs that open the device themselves and leave its end to the interpreter's.
atexit.register(resource_list.destroy)


class AclLiteResource:
    """Opens a device for the calling thread with :meth:`init`.

    *context*, *stream* and *run_mode* are set from then on. Unlike the original, calling init
    again, or on a second object, does no harm, and giving the device back is not left to the order
    in which the interpreter destroys things.
    """

    def __init__(self, device_id: int = 0) -> None:
        self.device_id = device_id
        self.context: int | None = None
        self.stream: int | None = None
        self.run_mode: int | None = None
        self._closing: weakref.finalize[..., AclLiteResource] | None = None

    def init(self) -> int:
        """Open the device and give ``SUCCESS``; raises AclLiteError."""
        if self._closing is not None:
            return const.SUCCESS
        try:
            session = Session(self.device_id)
        except AclFailure as failure:
            raise AclLiteError.of(failure) from failure
        self.context = session.context
        self.stream = session.stream
        self.run_mode = int(session.run_mode)
        # When nobody holds this object any more, at exit at the latest, and only once.
        self._closing = weakref.finalize(self, _close, session)
        return const.SUCCESS

    def destroy(self) -> None:
        """Destroy all that lives on the device, and give it back. Again does nothing."""
        if self._closing is not None:
            self._closing()
            self._closing = self.context = self.stream = None

    def __del__(self) -> None:
        # Programs also call it by its name when they are done.
        with suppress(Exception):
            self.destroy()


def _close(session: Session) -> None:
    acl.rt.set_context(session.context)
    resource_list.destroy()
    try:
        session.close()
    except AclFailure as failure:
        acllite_logger.log_warning(f"the device was not given back in order: {failure}")
