"""Reads an archive: all of it is proved to be as it was written before any of it is used."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from gw.backup.manifest import (
    MANIFEST,
    MANIFEST_DIGEST,
    MANIFEST_MAX_BYTES,
    STORE,
    BadArchive,
    Manifest,
    check_name,
)

_CHUNK_BYTES: Final = 1 << 20
_DIGEST_BYTES: Final = 64


class Archive:
    """A proved archive. Its file stays open, so that what was proved is what is used."""

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self._tar = tar
        self._infos = {info.name: info for info in tar}
        self.manifest = manifest

    def store(self) -> IO[bytes]:
        """Open the snapshot of the job store."""
        return _opened(self._tar, self._infos[STORE])

    def names(self, section: str) -> Iterator[str]:
        """List the members of a section."""
        return (name for name in self.manifest.members if name.startswith(section + "/"))

    def extract(self, name: str, target: Path) -> None:
        """Write a member to *target*, over what is there, with its mode and times."""
        member = self.manifest.members[name]
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = target.with_name(f".{target.name}.restoring")
        part.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o600), "wb") as file:
            source = _opened(self._tar, self._infos[name])
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            os.fchmod(file.fileno(), member.mode & 0o777)
            modified_unix_ns = member.modified_unix_ms * 1_000_000
            os.utime(file.fileno(), ns=(modified_unix_ns, modified_unix_ns))
        part.replace(target)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open and prove an archive; raises BadArchive with what is wrong, and where."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            yield Archive(tar, _proved(tar))
    except tarfile.TarError as error:
        raise BadArchive(f"{path} is not an archive of gw, or not all of one") from error


def _proved(tar: tarfile.TarFile) -> Manifest:
    seen: dict[str, tuple[int, str]] = {}
    ends: dict[str, bytes] = {}
    for info in tar:
        if not info.isreg() or info.name in seen or info.name in ends:
            raise BadArchive(f"the archive has a member that is not gw's: {info.name[:100]!r}")
        if info.name in {MANIFEST, MANIFEST_DIGEST}:
            ends[info.name] = _read_end(tar, info)
        else:
            check_name(info.name)
            seen[info.name] = _digested(tar, info)
    if MANIFEST not in ends or MANIFEST_DIGEST not in ends:
        raise BadArchive("the archive has no end: it was cut off, or its writing was")
    if hashlib.sha256(ends[MANIFEST]).hexdigest().encode() != ends[MANIFEST_DIGEST]:
        raise BadArchive("the archive's manifest is not as it was written")
    manifest = Manifest.from_json(ends[MANIFEST])
    told = {name: (member.bytes, member.sha256) for name, member in manifest.members.items()}
    for name in told.keys() | seen.keys():
        if told.get(name) != seen.get(name):
            raise BadArchive(f"the archive is damaged: {name[:100]} is not as it was written")
    if STORE not in seen:
        raise BadArchive("the archive has no job store")
    return manifest


def _read_end(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    if info.size > (MANIFEST_MAX_BYTES if info.name == MANIFEST else _DIGEST_BYTES):
        raise BadArchive(f"the archive's {info.name} is too large")
    return _opened(tar, info).read()


def _digested(tar: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[int, str]:
    source, digest, length = _opened(tar, info), hashlib.sha256(), 0
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
        length += len(chunk)
    return length, digest.hexdigest()


def _opened(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    source = tar.extractfile(info)
    assert source is not None  # noqa: S101 - a regular file
    return source
