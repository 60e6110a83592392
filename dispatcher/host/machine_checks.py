"""Checks of the machine under gw: memory, disks, clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.host.finding import Finding, error, info, ok, warning
from dispatcher.host.snapshot import Disk, Host

_GB = 1_000_000_000

#: A board with an NPU shares its memory: below this the system has too little beside one model.
_MEMORY_MIN_BYTES = 3 * _GB
_AVAILABLE_MIN_BYTES = 1 * _GB

_DISK_MIN_BYTES = 1 * _GB
_DISK_GOOD_BYTES = 10 * _GB

#: What such file systems hold is gone after a restart, or with the container.
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_LAYERED = frozenset({"overlay", "overlayfs", "aufs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "vboxsf", "fuse.sshfs"})
_NO_SYNC = frozenset({"nobarrier", "barrier=0", "volatile", "eatmydata"})

#: No disk syncs this fast: something before it answers.
_SYNC_DOUBTFUL_MS = 0.05

#: A disk syncs in a tenth of a millisecond at best; flash cards need ten and more.
_SYNC_SLOW_MS = 20.0

#: gw was not there before, and certificates are not valid much later.
_CLOCK_FROM_UNIX_S = 1_735_689_600.0
_CLOCK_TO_UNIX_S = 4_102_444_800.0


def check_machine(host: Host) -> list[Finding]:
    """Find what the machine lacks."""
    found = [*_memory(host), *_clock(host)]
    for disk in host.disks:
        found += _disk(disk)
    return found


def _memory(host: Host) -> Iterator[Finding]:
    memory = host.memory
    if memory is None:
        yield info("memory", "the memory's size cannot be told")
        return
    told = f"{memory.total_bytes / _GB:.1f} GB, {memory.available_bytes / _GB:.1f} GB of it free"
    if memory.total_bytes < _MEMORY_MIN_BYTES:
        yield warning(
            "memory", told, "set GW_DEVICE_MEMORY_MB to what the models need, and run few of them"
        )
    elif memory.available_bytes < _AVAILABLE_MIN_BYTES:
        yield warning("memory", told, "end what else takes memory; an NPU board shares it")
    else:
        yield ok("memory", told)
    if memory.swap_bytes == 0:
        yield info("swap", "no swap", "converting models on the board itself needs some")
    else:
        yield ok("swap", f"{memory.swap_bytes / _GB:.1f} GB of swap")


def _disk(disk: Disk) -> Iterator[Finding]:
    subject = f"disk of {disk.path}"
    told = (
        f"{disk.free_bytes / _GB:.1f} of {disk.total_bytes / _GB:.1f} GB free ({disk.kind or '?'})"
    )
    if disk.free_bytes < _DISK_MIN_BYTES:
        yield error(subject, told, "make room: nothing is accepted on a full disk")
    elif disk.free_bytes < _DISK_GOOD_BYTES:
        yield warning(subject, told, "make room: the job store's file needs twice its size")
    else:
        yield ok(subject, told)
    yield from _syncing(disk, subject)


def _syncing(disk: Disk, subject: str) -> Iterator[Finding]:
    if disk.kind in _VOLATILE:
        yield error(subject, f"{disk.kind} does not survive a restart", "use a folder on a disk")
        return
    if disk.options & _NO_SYNC:
        words = ", ".join(sorted(disk.options & _NO_SYNC))
        yield error(
            subject,
            f"it is mounted with {words}, so that syncing does nothing",
            "mount it without: accepted jobs would not survive a power cut",
        )
    if disk.kind in _LAYERED:
        yield warning(
            subject, "it is the container's own layer, and goes with it", "mount a volume there"
        )
    if disk.kind in _REMOTE:
        yield warning(
            subject, f"{disk.kind} may acknowledge what is not on a disk", "use a local disk"
        )
    if disk.sync_ms is None:
        return
    if disk.sync_ms > _SYNC_SLOW_MS:
        yield warning(
            subject,
            f"a synced write takes {disk.sync_ms:.1f} ms",
            "each accepted job waits for one or two: use a faster disk than a flash card",
        )
    elif disk.sync_ms < _SYNC_DOUBTFUL_MS:
        yield info(
            subject,
            f"a synced write takes {disk.sync_ms:.3f} ms, faster than disks are",
            "a cache answers; see that it survives a power cut",
        )
    else:
        yield ok(subject, f"a synced write takes {disk.sync_ms:.2f} ms")


def _clock(host: Host) -> Iterator[Finding]:
    if not _CLOCK_FROM_UNIX_S < host.now_unix_s < _CLOCK_TO_UNIX_S:
        yield error(
            "clock",
            "the clock is wrong by years",
            "set it: signatures, certificates and deadlines go by it",
        )
    elif host.is_clock_synchronised is None:
        yield info("clock", "whether the clock is synchronised cannot be told")
    elif not host.is_clock_synchronised:
        yield warning(
            "clock",
            "nothing synchronises the clock",
            "run an NTP client: receivers refuse webhooks that are five minutes off",
        )
    else:
        yield ok("clock", "the clock is synchronised")
