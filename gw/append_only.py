"""What a power cut leaves at the end of the append-only file, and how it is taken off.

The server itself cuts off a last command that is too short. A file system may also leave blocks of
zeros where the end was not synced yet, with or without later commands behind them; then the server
refuses to start. With ``appendfsync always`` nothing behind the first bad byte was ever answered.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import subprocess
import time
from pathlib import Path

from gw.data_folder import DataFolder
from gw.server import ServerBinary
from pipeline.errors import InvalidSettings

log = logging.getLogger(__name__)

#: More than the server ever writes between two syncs: where more is bad, something else happened.
TORN_MAX_BYTES = 64 << 20

_CHECK_TIMEOUT_S = 600.0
_ANALYSIS = re.compile(r"size=(\d+), ok_up_to=(\d+)")
_INCREMENT = re.compile(r'file "?([^"\s]+)"? seq (\d+) type i')


def cut_torn_end(folder: DataFolder, server: ServerBinary) -> Path | None:
    """Cut off what does not read at the end of the last file; give where it was put, None if well.

    Nothing is looked at while a server runs on the files. Raises InvalidSettings where more is bad
    than a power cut can leave: that is for a person to look at.
    """
    path = _last_increment(folder.redis)
    if path is None or not path.stat().st_size:
        return None
    with folder.redis_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return _cut_torn_end(path, server)


def _cut_torn_end(path: Path, server: ServerBinary) -> Path | None:
    size_bytes, good_bytes = _analysis(path, server)
    torn_bytes = size_bytes - good_bytes
    if not torn_bytes:
        return None
    if torn_bytes > TORN_MAX_BYTES:
        raise InvalidSettings(
            f"{path} does not read from byte {good_bytes} on, and {torn_bytes} bytes follow: more"
            " than a power cut leaves; restore a backup, or cut it off there by hand"
        )
    kept = path.with_name(f"{path.name}.torn-{time.time_ns() // 1_000_000}")
    _cut(path, good_bytes, kept)
    log.warning(
        "append_only.torn_end_cut", extra={"bytes": torn_bytes, "at": good_bytes, "kept": kept.name}
    )
    return kept


def _last_increment(folder: Path) -> Path | None:
    manifests = list((folder / "appendonlydir").glob("*.manifest"))
    if not manifests:
        return None
    found = _INCREMENT.findall(manifests[0].read_text("utf-8"))
    if not found:
        return None
    name, _ = max(found, key=lambda each: int(each[1]))
    path = manifests[0].with_name(name)
    return path if path.exists() else None


def _analysis(path: Path, server: ServerBinary) -> tuple[int, int]:
    """Give the size of the file and how much of it reads, in bytes."""
    # The program looks at the name that it is called by.
    done = subprocess.run(  # noqa: S603 - the server's own program
        [f"{server.product}-check-aof", str(path)],
        executable=server.path,
        capture_output=True,
        text=True,
        timeout=_CHECK_TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    match = _ANALYSIS.search(done.stdout)
    if match is None:
        told = (done.stdout + done.stderr).strip().splitlines()
        raise InvalidSettings(f"{path} cannot be checked: {told[-1] if told else 'no answer'}")
    return int(match[1]), int(match[2])


def _cut(path: Path, good_bytes: int, kept: Path) -> None:
    """Move what follows *good_bytes* into the file *kept*: first it is there, then it is gone."""
    with path.open("r+b") as file, kept.open("xb") as torn:
        file.seek(good_bytes)
        torn.write(file.read())
        torn.flush()
        os.fsync(torn.fileno())
        file.truncate(good_bytes)
        os.fsync(file.fileno())
