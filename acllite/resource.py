"""The newer generation's resource: open from its construction on."""

from __future__ import annotations

from acllite.acllite_resource import AclLiteResource as _AclLiteResource

__all__ = ["AclLiteResource"]


class AclLiteResource(_AclLiteResource):
    """Opens a device for the calling thread; raises AclLiteError."""

    def __init__(self, device_id: int = 0) -> None:
        super().__init__(device_id)
        self.init()
