"""What a container on a 310B host must have, checked under a root folder of the test's making."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_UID = 1000
_DEVICES = ("davinci0", "davinci_manager", "svm0", "ts_aisle", "upgrade", "sys", "dvpp_cmdlist")
_LIBRARIES = (
    "libaicpu_processer.so",
    "libaicpu_prof.so",
    "libaicpu_sharder.so",
    "libadump.so",
    "libtsd_eventclient.so",
    "libaicpu_scheduler.so",
    "libdcmi.so",
    "libmpi_dvpp_adapter.so",
    "libstackcore.so",
)
_PLACES = (
    "etc/sys_version.conf",
    "etc/hdcBasic.cfg",
    "usr/lib64/aicpu_kernels",
    "usr/local/Ascend/driver/lib64",
    *(f"usr/lib64/{name}" for name in _LIBRARIES),
)
_DAEMONS = ("dmp_daemon", "slogd")


def missing(root: str) -> list[str]:
    """List what is missing under *root*; nothing is checked for an empty one."""
    if not root:
        return []
    base = Path(root)
    lacks = [f"device /dev/{name}" for name in _DEVICES if not (base / "dev" / name).exists()]
    lacks += [f"mount /{place}" for place in _PLACES if not (base / place).exists()]
    npu = base / "dev/davinci0"
    if npu.exists() and not _may_open(npu):
        lacks.append("access to /dev/davinci0 (run as uid 1000 or in its group)")
    running = _running(base)
    lacks += [f"daemon {name}" for name in _DAEMONS if name not in running]
    return lacks


def _may_open(node: Path) -> bool:
    status = node.stat()
    in_group = status.st_gid in {os.getgid(), *os.getgroups()} and status.st_mode & stat.S_IRGRP
    owns = os.getuid() in {_UID, status.st_uid} and status.st_mode & stat.S_IRUSR
    return bool(in_group or owns)


def _running(base: Path) -> set[str]:
    names: set[str] = set()
    for entry in (base / "proc").glob("[0-9]*/comm"):
        names.add(entry.read_text("utf-8").strip())
    return names
