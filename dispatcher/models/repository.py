"""Finds the models under ``gwproc``: what can be used, and what cannot, with the reason.

Layout: ``<model>/model.toml`` and ``<model>/<version>/model.onnx`` or ``model.om``, where a version
is a positive whole number. A bad model or version is refused alone; the others stay usable.
Everything else that lies visibly in a version's folder belongs to it (weights in files of their
own, say). ``SHA256SUMS`` is honoured where there is one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dispatcher.cards.card import ModelCard, RuntimeKind
from dispatcher.cards.file import InvalidCard, read_card
from dispatcher.cards.tables import MODEL_NAME_PATTERN
from dispatcher.models.checksums import SUMS_FILE_NAME, read_sums, why_mismatched
from pipeline.errors import InvalidSettings

MODEL_FILE_NAMES: Mapping[RuntimeKind, str] = {
    RuntimeKind.ONNX: "model.onnx",
    RuntimeKind.ACL: "model.om",
}

_MODEL_NAME = re.compile(MODEL_NAME_PATTERN)
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
HASH_CHUNK_BYTES = 1 << 20
#: More than any model needs: a folder with more is no version.
_FILES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One usable version: its card, and its model file as it was when it was scanned.

    *generation* counts how often its files were replaced since this dispatcher started.
    """

    card: ModelCard
    version: int
    path: Path
    file_sha256: str
    file_bytes: int
    generation: int = 1

    @property
    def key(self) -> str:
        """What the device and the scheduler call it: ``name/version``, ``name/version#2`` ..."""
        first = f"{self.card.name}/{self.version}"
        return first if self.generation == 1 else f"{first}#{self.generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a model, or one version of it, cannot be used. *version* is None for the whole model."""

    model: str
    version: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What one scan found. *models* holds the usable versions of each model, highest first."""

    models: Mapping[str, tuple[ModelVersion, ...]]
    refusals: tuple[Refusal, ...]

    def find(self, model: str, version: int | None = None) -> ModelVersion | None:
        """Give *version* of *model*, the highest usable one if None; None where there is none."""
        versions = self.models.get(model, ())
        return next((v for v in versions if version in (None, v.version)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFiles:
    """A version as it lies on the disk: nothing of its files is read yet.

    *model_file* is what the runtime opens; *others* lie beside it and belong to it.
    """

    card: ModelCard
    version: int
    model_file: Path
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Give all of them."""
        return self.model_file, *self.others


def scan(root: Path) -> Repository:
    """Read every model under *root*; a folder that is absent has none. Reads whole model files."""
    models: dict[str, tuple[ModelVersion, ...]] = {}
    refusals: list[Refusal] = []
    for folder in model_folders(root):
        usable: list[ModelVersion] = []
        for found in find_versions(folder, root=root.resolve()):
            read = _read_version(found) if isinstance(found, VersionFiles) else found
            if isinstance(read, ModelVersion):
                usable.append(read)
            else:
                refusals.append(read)
        if usable:
            models[folder.name] = tuple(sorted(usable, key=lambda v: v.version, reverse=True))
    return Repository(models=models, refusals=tuple(refusals))


def model_folders(root: Path) -> Iterator[Path]:
    """Yield what is meant as a model: any visible folder, and any link, to be refused by name."""
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        hidden = entry.name.startswith((".", "__"))
        if not hidden and (entry.is_dir() or entry.is_symlink()):
            yield entry


def version_of(name: str) -> int | None:
    """Give the version that a folder of this name holds; None for any other folder."""
    return int(name) if _VERSION.fullmatch(name) else None


def find_versions(folder: Path, *, root: Path) -> Iterator[VersionFiles | Refusal]:
    """Yield the versions of the model in *folder*, and what of it cannot be used. Reads the card.

    *root* is the resolved folder of all models.
    """
    name = folder.name
    if not _MODEL_NAME.fullmatch(name):
        yield _refuse(name, f"the folder name does not match {MODEL_NAME_PATTERN}")
        return
    if not _lies_in(folder, root):
        yield _refuse(name, "the folder is a link that leads out of the repository")
        return
    try:
        card = read_card(folder)
        versions = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except InvalidCard as exc:
        yield _refuse(name, str(exc))
        return
    except OSError as exc:
        yield _refuse(name, f"the folder cannot be read: {exc.strerror}")
        return

    found = False
    for entry in versions:
        if version_of(entry.name) is not None:
            found = True
            yield _find_version(entry, card, root=root)
        elif any((entry / file).exists() for file in MODEL_FILE_NAMES.values()):
            reason = f'folder "{entry.name}" holds a model file; a version is named 1, 2, 3 ...'
            yield _refuse(name, reason)
            found = True
    if not found:
        yield _refuse(name, _no_file(folder / "1" / MODEL_FILE_NAMES[card.runtime]))


def _find_version(folder: Path, card: ModelCard, *, root: Path) -> VersionFiles | Refusal:
    version = int(folder.name)
    file = folder / MODEL_FILE_NAMES[card.runtime]
    reason = _why_unusable(file, card.runtime, root=root)
    if reason is not None:
        return _refuse(card.name, reason, version)
    try:
        others = [
            entry
            for entry in sorted(folder.iterdir())
            if entry.is_file()
            and entry.name not in (SUMS_FILE_NAME, *MODEL_FILE_NAMES.values())
            and not entry.name.startswith(".")
        ]
    except OSError as exc:
        return _refuse(card.name, f"{folder} cannot be read: {exc.strerror}", version)
    if len(others) >= _FILES_MAX:
        return _refuse(card.name, f"{folder} holds more than {_FILES_MAX} files", version)
    for other in others:
        if not _lies_in(other, root):
            reason = f"{other} is a link that leads out of the repository"
            return _refuse(card.name, reason, version)
    return VersionFiles(card=card, version=version, model_file=file, others=tuple(others))


def _read_version(found: VersionFiles) -> ModelVersion | Refusal:
    """Read all files of a version, and compare them with their checksums."""
    try:
        hashes = {file.name: hash_file(file) for file in found.files}
        digests = {name: digest for name, (digest, _) in hashes.items()}
        reason = why_not_whole(found, digests)
    except OSError as exc:
        reason = f"{exc.filename or found.model_file} cannot be read: {exc.strerror}"
    except InvalidSettings as exc:
        reason = str(exc)
    if reason is not None:
        return _refuse(found.card.name, reason, found.version)
    sha256, size_bytes = hashes[found.model_file.name]
    if size_bytes == 0:
        return _refuse(found.card.name, f"{found.model_file} is empty", found.version)
    return ModelVersion(
        card=found.card,
        version=found.version,
        path=found.model_file,
        file_sha256=sha256,
        file_bytes=size_bytes,
    )


def why_not_whole(found: VersionFiles, digests: Mapping[str, str]) -> str | None:
    """Say how *digests*, by file name, contradict a ``SHA256SUMS``; None if none does.

    Raises InvalidSettings for a list that cannot be read, OSError for a card that cannot.
    """
    folder = found.model_file.parent
    sums = read_sums(folder)
    if sums is not None:
        file = folder / SUMS_FILE_NAME
        reason = why_mismatched(sums, digests, required=found.model_file.name, file=file)
        if reason is not None:
            return reason
    sums = read_sums(folder.parent)
    if sums is None:
        return None
    known = {f"{folder.name}/{name}": digest for name, digest in digests.items()}
    for name in sums:
        beside = folder.parent / name
        if "/" not in name and beside.is_file():
            known[name] = hash_file(beside)[0]
    required = f"{folder.name}/{found.model_file.name}"
    file = folder.parent / SUMS_FILE_NAME
    return why_mismatched(sums, known, required=required, file=file)


def _why_unusable(file: Path, runtime: RuntimeKind, *, root: Path) -> str | None:
    if not file.is_symlink() and not file.exists():
        others = [n for n in MODEL_FILE_NAMES.values() if (file.parent / n).exists()]
        if others:
            return (
                f'{file} is missing; the card says runtime "{runtime}", '
                f"but the folder holds {others[0]}"
            )
        return _no_file(file)
    if not _lies_in(file, root):
        return f"{file} is a link that leads out of the repository, or nowhere"
    if not file.is_file():
        return f"{file} is not a regular file"
    return None


def _no_file(file: Path) -> str:
    return f"no model file yet: put it at {file}, or run `gw models fetch demo` for the demo models"


def _lies_in(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root)
    except (OSError, RuntimeError):  # dangling, or (before Python 3.13) a loop of links
        return False


def hash_file(file: Path) -> tuple[str, int]:
    """Give the hex sha256 of *file* and its size, holding one chunk at a time."""
    digest = hashlib.sha256()
    size_bytes = 0
    with file.open("rb") as opened:
        while chunk := opened.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


def _refuse(model: str, reason: str, version: int | None = None) -> Refusal:
    return Refusal(model=model, version=version, reason=reason)
