"""Finds the models under ``gwproc``: what can be used, and what cannot, with the reason.

Layout: ``<model>/model.toml`` and ``<model>/<version>/model.onnx`` or ``model.om``, where a version
is a positive whole number. A bad model or version is refused alone; the others stay usable.
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

MODEL_FILE_NAMES: Mapping[RuntimeKind, str] = {
    RuntimeKind.ONNX: "model.onnx",
    RuntimeKind.ACL: "model.om",
}

_MODEL_NAME = re.compile(MODEL_NAME_PATTERN)
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One usable version: its card, and its model file as it was when it was scanned."""

    card: ModelCard
    version: int
    path: Path
    file_sha256: str
    file_bytes: int

    @property
    def key(self) -> str:
        """What the device and the scheduler call it: ``name/version``."""
        return f"{self.card.name}/{self.version}"


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


def scan(root: Path) -> Repository:
    """Read every model under *root*; a folder that is absent has none. Reads whole model files."""
    models: dict[str, tuple[ModelVersion, ...]] = {}
    refusals: list[Refusal] = []
    for folder in _model_folders(root):
        usable: list[ModelVersion] = []
        for found in _scan_model(folder, root=root.resolve()):
            if isinstance(found, ModelVersion):
                usable.append(found)
            else:
                refusals.append(found)
        if usable:
            models[folder.name] = tuple(sorted(usable, key=lambda v: v.version, reverse=True))
    return Repository(models=models, refusals=tuple(refusals))


def _model_folders(root: Path) -> Iterator[Path]:
    """Yield what is meant as a model: any visible folder, and any link, to be refused by name."""
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        hidden = entry.name.startswith((".", "__"))
        if not hidden and (entry.is_dir() or entry.is_symlink()):
            yield entry


def _scan_model(folder: Path, *, root: Path) -> Iterator[ModelVersion | Refusal]:
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
        if _VERSION.fullmatch(entry.name):
            found = True
            yield _scan_version(entry, card, root=root)
        elif any((entry / file).exists() for file in MODEL_FILE_NAMES.values()):
            reason = f'folder "{entry.name}" holds a model file; a version is named 1, 2, 3 ...'
            yield _refuse(name, reason)
            found = True
    if not found:
        yield _refuse(name, _no_file(folder / "1" / MODEL_FILE_NAMES[card.runtime]))


def _scan_version(folder: Path, card: ModelCard, *, root: Path) -> ModelVersion | Refusal:
    version = int(folder.name)
    file = folder / MODEL_FILE_NAMES[card.runtime]
    reason = _why_unusable(file, card.runtime, root=root)
    if reason is not None:
        return _refuse(card.name, reason, version)
    try:
        sha256, size_bytes = _hash(file)
    except OSError as exc:
        return _refuse(card.name, f"{file} cannot be read: {exc.strerror}", version)
    if size_bytes == 0:
        return _refuse(card.name, f"{file} is empty", version)
    return ModelVersion(
        card=card, version=version, path=file, file_sha256=sha256, file_bytes=size_bytes
    )


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


def _hash(file: Path) -> tuple[str, int]:
    """Give the hex sha256 of *file* and its size, holding one chunk at a time."""
    digest = hashlib.sha256()
    size_bytes = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
    return digest.hexdigest(), size_bytes


def _refuse(model: str, reason: str, version: int | None = None) -> Refusal:
    return Refusal(model=model, version=version, reason=reason)
