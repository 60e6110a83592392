"""Takes a backup of a platform that runs: the records of one moment, and every file they name.

The order is what makes it whole. First files that would be removed are held; then the snapshot of
the records is taken; then the files are copied, those that were put aside meanwhile last. A picture
is on the disk before its job is recorded and removed after its job has moved on, so each job of the
snapshot that still needs its picture has it in the archive. Pictures without a job are swept later.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from gw.backup.manifest import API_KEY, MODELS, STORE, Manifest
from gw.backup.snapshot import take_snapshot
from gw.backup.wire import Wire, server_of
from gw.backup.writing import ArchiveWriter
from gw.data_folder import DataFolder
from pipeline.batches.batch import BATCHES_FOLDER
from pipeline.errors import InvalidSettings
from pipeline.jobs.kept import KEPT_FOLDER
from pipeline.pictures.blobs import PART_SUFFIX, PICTURES_FOLDER, FileBlobs
from pipeline.pictures.holding import Hold
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

#: A file system's clock may be a little behind ours, or ahead.
_CLOCK_SLACK_S: Final = 2.0

_RENEW_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is backed up. *models* is None where they are left out."""

    redis: RedisSettings
    folder: DataFolder
    models: Path | None


def take_backup(origin: Origin, path: Path) -> Manifest:
    """Write the archive *path*; raises InvalidSettings or Unavailable, and then there is none."""
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(origin.redis))
        hold = stack.enter_context(_held(origin.folder.root))
        writer = stack.enter_context(ArchiveWriter(path, on_progress=hold.renew))
        taken_unix_ms = time.time_ns() // 1_000_000
        product, version = server_of(wire)
        manifest = Manifest(
            gw_version=metadata.version("gw"),
            taken_unix_ms=taken_unix_ms,
            prefix=origin.redis.prefix,
            server_product=product,
            server_version=version,
            jobs=_counts(wire, Keyspace(origin.redis.prefix)),
            members={},
        )
        newest_unix_s = _add_store(writer, wire, path, hold)
        _add_files(writer, origin, hold, newest_unix_s)
        hold.renew(at_once=True)
        # Models may take long, and are not held.
        hold.end()
        if origin.models is not None:
            _add_folder(writer, MODELS, origin.models)
        return writer.commit(manifest)


class _Holds:
    """The holds on the folders whose files are removed when their records have moved on."""

    def __init__(self, root: Path) -> None:
        self.pictures = Hold(root / PICTURES_FOLDER)
        self.batches = Hold(root / BATCHES_FOLDER)
        self._begun: list[Hold] = []
        self._renew_at_s = 0.0

    def begin(self) -> None:
        """Hold; raises InvalidSettings where another backup does."""
        for hold in (self.pictures, self.batches):
            hold.begin()
            self._begun.append(hold)

    def renew(self, *, at_once: bool = False) -> None:
        """Hold on, if it is time to; raises Unavailable if a hold was not in force all along."""
        now_s = time.monotonic()
        if at_once or now_s >= self._renew_at_s:
            for hold in self._begun:
                hold.renew()
            self._renew_at_s = now_s + _RENEW_S

    def end(self) -> None:
        """Let go of what is still held, which may be another's once it is let go."""
        while self._begun:
            self._begun.pop().end()


@contextmanager
def _held(root: Path) -> Iterator[_Holds]:
    if not root.is_dir():
        raise InvalidSettings(f"there is no data folder {root}; name it with --data")
    holds = _Holds(root)
    try:
        holds.begin()
        yield holds
    finally:
        holds.end()


def _counts(wire: Wire, keys: Keyspace) -> dict[str, int]:
    answer = wire.ask("HGETALL", keys.counts)
    texts = [str(each) for each in answer] if isinstance(answer, list) else []
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return {state: int(count) for state, count in pairs if count.isdecimal()}


def _add_store(writer: ArchiveWriter, wire: Wire, path: Path, hold: _Holds) -> float:
    """Add the snapshot; give when its moment was past, by the clock of the files, in seconds."""
    begun_unix_s = 0.0

    def begun() -> None:
        nonlocal begun_unix_s
        begun_unix_s = time.time() + _CLOCK_SLACK_S

    # A member's length stands before it, and the server does not tell how much will come.
    with tempfile.TemporaryFile(dir=path.absolute().parent) as spool:
        length = take_snapshot(wire, spool, on_begun=begun, on_progress=hold.renew)
        spool.seek(0)
        writer.add_stream(STORE, spool, length)
    return begun_unix_s


def _add_files(writer: ArchiveWriter, origin: Origin, hold: _Holds, newest_unix_s: float) -> None:
    root = origin.folder.root
    # No record of the snapshot needs a picture that came after it.
    for path in (root / PICTURES_FOLDER).glob("??/*"):
        if path.suffix != PART_SUFFIX:
            name = f"{PICTURES_FOLDER}/{path.parent.name}/{path.name}"
            writer.add_file(name, path, newest_unix_s=newest_unix_s)
    blobs = FileBlobs(Path(PICTURES_FOLDER))
    _add_held(writer, hold.pictures, blobs.path)
    _add_folder(writer, KEPT_FOLDER, root / KEPT_FOLDER)
    _add_folder(writer, BATCHES_FOLDER, root / BATCHES_FOLDER)
    _add_held(writer, hold.batches, lambda name: Path(BATCHES_FOLDER) / name)
    writer.add_file(API_KEY, origin.folder.api_key)


def _add_held(writer: ArchiveWriter, hold: Hold, place: Callable[[str], Path]) -> None:
    for path in hold.held():
        name = place(path.name).as_posix()
        if name not in writer:
            writer.add_file(name, path)


def _add_folder(writer: ArchiveWriter, section: str, root: Path) -> None:
    """Add every file below *root*, through links too, but none that is half-written."""
    been: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in been:
            folders.clear()
            continue
        been.add((status.st_dev, status.st_ino))
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix != PART_SUFFIX:
                writer.add_file(f"{section}/{path.relative_to(root).as_posix()}", path)
