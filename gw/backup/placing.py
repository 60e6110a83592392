"""Puts a snapshot where the embedded server will read it: as the base of an append-only file.

A server with ``appendonly yes`` reads no other RDB file: a ``dump.rdb`` beside it would be passed
over in silence, and the platform would start empty.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gw.data_folder import DataFolder, sync_folder, write_private
from gw.server import find_server
from pipeline.errors import InvalidSettings

_FILES: Final = "appendonlydir"
_BASE: Final = "appendonly.aof.1.base.rdb"
_MANIFEST: Final = "appendonly.aof.manifest"


def has_store(folder: DataFolder) -> bool:
    """Tell whether a job store was ever written in *folder*."""
    return (folder.redis / _FILES).exists()


@contextmanager
def server_kept_away(folder: DataFolder) -> Iterator[None]:
    """Keep servers off the files; raises InvalidSettings where one runs on them."""
    with folder.redis_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidSettings(f"a server runs on {folder.redis}; stop it first") from None
        yield


def place_store(folder: DataFolder, store: IO[bytes], *, product: str, version: str) -> Path | None:
    """Make *store* what the server reads next; give where the store before was put, if any.

    The last step is one rename: a death before it leaves no store, and all can be done again.
    """
    place, part = folder.redis / _FILES, folder.redis / f"{_FILES}.restoring"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    with (part / _BASE).open("xb") as file:
        shutil.copyfileobj(store, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    write_private(part / _MANIFEST, f"file {_BASE} seq 1 type b\n")
    aside = None
    if place.exists():
        aside = place.with_name(f"{_FILES}.before-{time.time_ns() // 1_000_000}")
        place.rename(aside)
    write_private(folder.redis_origin, f"{product} {version}\n")
    part.rename(place)
    sync_folder(folder.redis)
    return aside


def check_reader(scratch: Path, *, product: str, version: str) -> None:
    """Raise InvalidSettings, with what to install, if no server here reads such a store."""
    pretended = DataFolder.at(scratch)
    pretended.redis.mkdir(parents=True, exist_ok=True)
    write_private(pretended.redis_origin, f"{product} {version}\n")
    find_server(pretended)
