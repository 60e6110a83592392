"""Roots of made-up hosts: a folder with what a board, or a container on it, has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dispatcher.host import wanted
from dispatcher.host.snapshot import DeviceNode, Disk, Host, Memory, Software

NODES = {
    name: DeviceNode(uid=1000, gid=1000, mode=0o660)
    for name in (*wanted.VITAL_NODES, *wanted.OTHER_NODES)
}

DISK = Disk(
    path="/data",
    kind="ext4",
    options=frozenset({"rw", "relatime"}),
    total_bytes=64_000_000_000,
    free_bytes=40_000_000_000,
    sync_ms=1.5,
)


def well(**changes: Any) -> Host:
    """Give a container where everything is as it should be, but for *changes*."""
    facts: dict[str, Any] = {
        "is_container": True,
        "machine": "aarch64",
        "uid": 1000,
        "gids": frozenset({1000}),
        "npu_user": (1000, 1000),
        "nodes": NODES,
        "paths": frozenset(
            [
                *wanted.VITAL_PATHS,
                *wanted.OTHER_PATHS,
                *(places[0] for places in wanted.EITHER_PATHS.values()),
            ]
        ),
        "processes": frozenset(wanted.DAEMONS),
        "driver_version": "23.0.rc3",
        "cann": (Software(kind="nnrt", path="/usr/local/Ascend/nnrt/latest", version="7.0.RC1"),),
        "has_pyacl": True,
        "memory": Memory(total_bytes=8 * 10**9, available_bytes=5 * 10**9, swap_bytes=10**9),
        "disks": (DISK,),
        "now_unix_s": 1_800_000_000.0,
        "is_clock_synchronised": True,
    }
    return Host(**(facts | changes))


def make_root(folder: Path) -> Path:
    """Write the root of a board's container; the nodes are plain files."""
    root = folder / "root"
    for name in NODES:
        _write(root / "dev" / name)
    for path in well().paths:
        _write(root / path.lstrip("/"))
    _write(root / ".dockerenv")
    _write(root / "etc/sys_version.conf", "[version]\nversion=23.0.rc3\nfirmware_version=7.1.0\n")
    _write(
        root / "etc/passwd", "root:x:0:0::/root:/bin/sh\nHwHiAiUser:x:1000:1000::/home/h:/bin/sh\n"
    )
    _write(
        root / "usr/local/Ascend/nnrt/latest/aarch64-linux/ascend_nnrt_install.info",
        "package_name=Ascend-cann-nnrt\nversion=7.0.RC1\ninnerversion=V100R001C13\narch=aarch64\n",
    )
    _write(
        root / "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 5000000 kB\nSwapTotal: 0 kB\n"
    )
    for number, name in enumerate(wanted.DAEMONS, start=7):
        _write(root / "proc" / str(number) / "comm", f"{name}\n")
    _write(root / "proc/self/mountinfo", "29 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,barrier=0\n")
    return root


def _write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_dir():
        path.write_text(text)
