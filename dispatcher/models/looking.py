"""Looking at the model folder cheaply: names, sizes and times of files, nothing of their content.

By polling, since a models folder may be a USB stick, NFS or an overlay, where nothing tells of
changes. What two looks have in common has not changed, as far as a file system can tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dispatcher.models.repository import model_folders, version_of

#: The folder of a self-test, in a model's or a version's folder.
SELF_TEST_FOLDER = "selftest"

#: Files in a folder beyond this are not looked at: it is no model.
_FILES_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FileLook:
    """One file: *changed_ns* is the later of its times of writing and of change (Unix)."""

    name: str
    size_bytes: int
    written_ns: int
    changed_ns: int
    inode: int


#: All files of one folder that matter, by name.
Look = tuple[FileLook, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLook:
    """One model folder: the files beside the card with the self-test, and each version's."""

    card: Look
    versions: Mapping[int, Look]


def look(root: Path) -> Mapping[str, ModelLook]:
    """Look at every model under *root*; raises OSError where it cannot be read.

    A model folder that cannot be read, or goes while it is read, is as good as empty.
    """
    # An absent folder is told apart from an empty one: a stick that was pulled removes no model.
    with os.scandir(root):
        pass
    return {folder.name: look_at_model(folder) for folder in model_folders(root)}


def newest_ms(files: Look) -> float:
    """Give when anything of *files* last changed (Unix ms); 0 for none."""
    return max((max(file.written_ns, file.changed_ns) for file in files), default=0) / 1e6


def look_at_model(folder: Path) -> ModelLook:
    """Look at one model's folder; one that cannot be read is as good as empty."""
    try:
        folders = [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return ModelLook(card=(), versions={})
    card = tuple(sorted([*_files(folder), *_files(folder / SELF_TEST_FOLDER)]))
    versions = {}
    for entry in folders:
        version = version_of(entry.name)
        if version is not None:
            files = [*_files(entry), *_files(entry / SELF_TEST_FOLDER)]
            versions[version] = tuple(sorted(files))
    return ModelLook(card=card, versions=versions)


def _files(folder: Path) -> Iterator[FileLook]:
    """Yield the visible files of *folder*; an absent one has none."""
    prefix = f"{SELF_TEST_FOLDER}/" if folder.name == SELF_TEST_FOLDER else ""
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(_FILES_MAX), entries, strict=False):
                if entry.name.startswith(".") or entry.is_dir():
                    continue
                status = entry.stat()
                yield FileLook(
                    name=prefix + entry.name,
                    size_bytes=status.st_size,
                    written_ns=status.st_mtime_ns,
                    changed_ns=status.st_ctime_ns,
                    inode=status.st_ino,
                )
    except OSError:
        return
