"""Reads a host: files below a root, this process's own ids, the clock. No decision is made here."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from dispatcher.host import wanted
from dispatcher.host.snapshot import DeviceNode, Disk, Host, Memory, Software

_ROOT = Path("/")
_VARIABLES = (
    "LD_LIBRARY_PATH",
    "ASCEND_VISIBLE_DEVICES",
    "ASCEND_ALLOW_LINK",
    "ASCEND_RT_VISIBLE_DEVICES",
)
#: No file that is read here is longer than a few kB, but for the table of mounts.
_LONGEST_FILE_BYTES = 1 << 20
_PROCESSES_MAX = 100_000
_SYNCS = 5
# From <sys/timex.h>: what adjtimex answers while the kernel's clock is not disciplined.
_TIME_ERROR = 5
_TIMEX_BYTES = 512


def read_host(
    *,
    root: Path = _ROOT,
    environ: Mapping[str, str],
    folders: Sequence[Path] = (),
    measure_sync: bool = False,
) -> Host:
    """Look at the host below *root*, and at the disks of *folders*.

    With *measure_sync* a small file is written to each folder and removed.
    """
    versions = _pairs(_text(root / "etc/sys_version.conf"))
    return Host(
        is_container=any((root / name).exists() for name in (".dockerenv", "run/.containerenv")),
        machine=platform.machine(),
        uid=os.getuid(),
        gids=frozenset({os.getgid(), *os.getgroups()}),
        npu_user=_user(root, wanted.NPU_USER),
        nodes=dict(_nodes(root)),
        paths=frozenset(path for path in _wanted_paths() if (root / path.lstrip("/")).exists()),
        processes=frozenset(_processes(root)),
        driver_version=_first(versions, "driver", "version"),
        firmware_version=_first(versions, "firmware"),
        cann=tuple(_installed(root)),
        environ={name: environ[name] for name in _VARIABLES if name in environ},
        has_pyacl=importlib.util.find_spec("acl") is not None,
        memory=_memory(root),
        disks=tuple(_disks(root, folders, measure_sync=measure_sync)),
        now_unix_s=time.time(),
        is_clock_synchronised=_is_clock_synchronised(),
    )


def cann_version(root: Path = _ROOT) -> str:
    """Give the version of the CANN that is installed, empty where none is."""
    return next((each.version for each in _installed(root) if each.version), "")


def _wanted_paths() -> Iterator[str]:
    yield from wanted.VITAL_PATHS
    yield from wanted.OTHER_PATHS
    for places in wanted.EITHER_PATHS.values():
        yield from places


def _text(path: Path) -> str:
    """Give a text file's beginning, empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _pairs(text: str) -> dict[str, str]:
    """Read lines of ``name=value``; a line without a name has the name ``version``."""
    pairs: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith(("#", "[")):
            continue
        name, sign, value = line.partition("=" if "=" in line else ":")
        if sign:
            pairs.setdefault(name.strip().lower(), value.strip())
        else:
            pairs.setdefault("version", line)
    return pairs


def _first(pairs: Mapping[str, str], *words: str) -> str:
    """Give the first value whose name holds one of *words*, tried in order."""
    for word in words:
        for name, value in pairs.items():
            if word in name and value:
                return value
    return ""


def _user(root: Path, name: str) -> tuple[int, int] | None:
    for line in _text(root / "etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 3:
            with suppress(ValueError):
                return int(fields[2]), int(fields[3])
    return None


def _nodes(root: Path) -> Iterator[tuple[str, DeviceNode]]:
    for name in (*wanted.VITAL_NODES, *wanted.OTHER_NODES, *wanted.FOREIGN_NODES):
        with suppress(OSError):
            status = (root / "dev" / name).stat()
            yield (
                name,
                DeviceNode(
                    uid=status.st_uid,
                    gid=status.st_gid,
                    mode=stat.S_IMODE(status.st_mode),
                    is_device=stat.S_ISCHR(status.st_mode),
                ),
            )


def _processes(root: Path) -> Iterator[str]:
    with suppress(OSError):
        for count, entry in enumerate(os.scandir(root / "proc")):
            if count > _PROCESSES_MAX:
                return
            if entry.name.isdigit():
                yield _text(Path(entry.path) / "comm").strip()


def _installed(root: Path) -> Iterator[Software]:
    """Give each CANN below /usr/local/Ascend that says its version in ``*_install.info``."""
    for kind in ("nnrt", "ascend-toolkit"):
        latest = root / "usr/local/Ascend" / kind / "latest"
        files = [*_glob(latest, "ascend_*_install.info"), *_glob(latest, "*/ascend_*_install.info")]
        for file in files[:1]:
            version = _pairs(_text(file)).get("version", "")
            yield Software(kind=kind, path=f"/{latest.relative_to(root)}", version=version)


def _glob(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return ()


def _memory(root: Path) -> Memory | None:
    pairs = _pairs(_text(root / "proc/meminfo"))
    try:
        total, available, swap = (
            int(pairs[name].split()[0]) * 1024 for name in ("memtotal", "memavailable", "swaptotal")
        )
    except (IndexError, KeyError, ValueError):
        return None
    return Memory(total_bytes=total, available_bytes=available, swap_bytes=swap)


def _disks(root: Path, folders: Sequence[Path], *, measure_sync: bool) -> Iterator[Disk]:
    mounts = list(_mounts(_text(root / "proc/self/mountinfo")))
    for folder in folders:
        there = folder.resolve()
        while not there.exists():
            there = there.parent
        place, kind, options = max(
            (each for each in mounts if there.is_relative_to(each[0])),
            key=lambda each: len(each[0]),
            default=("/", "", frozenset[str]()),
        )
        with suppress(OSError):
            usage = shutil.disk_usage(there)
            yield Disk(
                path=str(folder),
                kind=kind,
                options=options,
                total_bytes=usage.total,
                free_bytes=usage.free,
                sync_ms=_sync_ms(there) if measure_sync and place else None,
            )


def _mounts(text: str) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Read mountinfo: mount point, kind of file system, options of mount and file system."""
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if dash and len(left) > 5 and len(right) > 2:
            options = {*left[5].split(","), *right[2].split(",")}
            yield left[4].replace("\\040", " "), right[0], frozenset(options)


def _sync_ms(folder: Path) -> float | None:
    """Measure how long a small write with its sync takes."""
    path = folder / f".gw-doctor-{os.getpid()}"
    took_ms = []
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for _ in range(_SYNCS):
                started_s = time.perf_counter()
                os.write(descriptor, b"x" * 512)
                os.fsync(descriptor)
                took_ms.append((time.perf_counter() - started_s) * 1000)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
    except OSError:
        return None
    return median(took_ms)


def _is_clock_synchronised() -> bool | None:
    """Ask the kernel whether something disciplines its clock; None where it does not tell."""
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(
            ctypes.create_string_buffer(_TIMEX_BYTES)
        )
    except (AttributeError, OSError):
        return None
    return None if answer < 0 else answer != _TIME_ERROR
