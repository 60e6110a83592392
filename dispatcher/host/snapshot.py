"""A host as it was read at one moment. None is what could not be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNode:
    """A device node that is there: who owns it, and its permission bits."""

    uid: int
    gid: int
    mode: int
    is_device: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """The file system below *path*. *options* are those of its mount."""

    path: str
    kind: str
    options: frozenset[str]
    total_bytes: int
    free_bytes: int
    #: The median of a few writes with a sync; None where nothing could be written.
    sync_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """RAM and swap. On a 310B board the NPU takes its own from the same RAM."""

    total_bytes: int
    available_bytes: int
    swap_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """An installed CANN: what kind (``nnrt``, ``ascend-toolkit``), where, and which version."""

    kind: str
    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Everything that the checks look at. *paths* are those of ``wanted`` that are there.

    *uid* and *gids* are this process's; *npu_user* is HwHiAiUser's (uid, gid) in /etc/passwd.
    """

    is_container: bool
    machine: str
    uid: int
    gids: frozenset[int]
    npu_user: tuple[int, int] | None = None
    nodes: Mapping[str, DeviceNode] = field(default_factory=dict)
    paths: frozenset[str] = frozenset()
    processes: frozenset[str] = frozenset()
    driver_version: str = ""
    firmware_version: str = ""
    cann: tuple[Software, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    has_pyacl: bool | None = None
    memory: Memory | None = None
    disks: tuple[Disk, ...] = ()
    now_unix_s: float = 0.0
    is_clock_synchronised: bool | None = None
