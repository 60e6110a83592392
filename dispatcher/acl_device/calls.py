"""Return codes, checked: pyACL never raises for a failure of CANN."""

from __future__ import annotations

import acl  # type: ignore[import-not-found, unused-ignore]

from dispatcher.acl_device.codes import SUCCESS
from dispatcher.acl_device.errors import AclFailure


def check(call: str, code: int) -> None:
    """Raise AclFailure where *code*, which *call* gave, is not success."""
    if code != SUCCESS:
        # Must be the next call in this thread: reading forgets the text, and so may any other call.
        raise AclFailure(call, code, acl.get_recent_err_msg() or "")


def check_handle(call: str, handle: int) -> int:
    """Give *handle* back; raises AclFailure for 0, which stands for none."""
    if handle == 0:
        raise AclFailure(call, 100000, acl.get_recent_err_msg() or "")
    return handle
