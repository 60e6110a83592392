"""Taking a version from the models folder: read, compared, copied, and described by the device."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Device
from dispatcher.models.copies import ChangedMeanwhile, Copies, Copy, hash_files
from dispatcher.models.repository import (
    ModelVersion,
    Refusal,
    VersionFiles,
    find_versions,
    why_not_whole,
)
from dispatcher.models.self_test import SelfTest, read_self_test
from dispatcher.models.shelf import ShelvedModel
from dispatcher.runtime import ModelDescription
from dispatcher.settings import DispatcherSettings
from pipeline.errors import GwError, InvalidSettings, Unavailable

log = logging.getLogger(__name__)

#: The folder of the private copies, in the data folder.
COPIES_FOLDER = "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A version that can run here, with its self-test if it has one. It holds its copy."""

    model: ShelvedModel
    self_test: SelfTest | None
    copy: Copy

    @property
    def identity(self) -> tuple[Mapping[str, str], str, str]:
        """Give what makes it another one: its files, its card, its self-test."""
        test = self.self_test.sha256 if self.self_test is not None else ""
        return self.copy.digests, self.model.card.settings_sha256, test


class Stock:
    """Takes versions one by one, each as a generation of its own."""

    def __init__(self, device: Device, settings: DispatcherSettings) -> None:
        self._device = device
        self._settings = settings
        self._root = Path(settings.models_dir)
        self._copies = Copies(settings.service.data_dir / COPIES_FOLDER)
        self._generations: Counter[tuple[str, int]] = Counter()

    async def find(self, name: str) -> Mapping[int | None, VersionFiles | Refusal]:
        """Give what the folder of a model holds: by version, None for what concerns all of it."""

        def read() -> dict[int | None, VersionFiles | Refusal]:
            found = find_versions(self._root / name, root=self._root.resolve())
            return {each.version: each for each in found}

        return await asyncio.to_thread(read)

    async def take(
        self,
        files: VersionFiles,
        *,
        is_still: Callable[[], bool],
        unchanged: Callable[[Taken], bool] = lambda _taken: False,
    ) -> Taken | Refusal | None:
        """Take a version; None for one that changed meanwhile, or is unchanged.

        *is_still*, which blocks, tells whether the files look as they did when they had settled.
        Raises Unavailable where the device is away: that says nothing of any model.
        """
        name, version = files.card.name, files.version
        held: list[Copy] = []
        try:
            copy, size_bytes = await asyncio.to_thread(self._copy, files)
            held.append(copy)
            taken = await self._describe(files, copy, size_bytes)
            is_wanted = await asyncio.to_thread(is_still) and not unchanged(taken)
        except ChangedMeanwhile:
            return None
        except BaseException as exc:
            for copy in held:
                copy.release()
            reason = _why_refused(exc, files)
            if reason is None:
                raise
            return Refusal(model=name, version=version, reason=reason)
        if not is_wanted:
            copy.release()
            return None
        self._generations[name, version] = taken.model.version.generation
        return taken

    def sweep(self) -> None:
        """Remove the copies that nobody holds. Blocks."""
        try:
            self._copies.sweep()
        except OSError as exc:
            log.warning("copies.unswept", extra={"reason": str(exc)})

    def _copy(self, files: VersionFiles) -> tuple[Copy, int]:
        digests = hash_files(files.files)
        reason = why_not_whole(files, digests)
        if reason is None and files.model_file.stat().st_size == 0:
            reason = f"{files.model_file} is empty"
        if reason is not None:
            raise InvalidSettings(reason)
        copy = self._copies.take(files.files, digests)
        return copy, (copy.folder / files.model_file.name).stat().st_size

    async def _describe(self, files: VersionFiles, copy: Copy, size_bytes: int) -> Taken:
        card = files.card
        settings = self._settings
        if card.runtime != settings.runtime and ":" not in settings.runtime:
            raise InvalidSettings(
                f"its runtime is {card.runtime}; this dispatcher runs {settings.runtime}"
            )
        test = await asyncio.to_thread(
            read_self_test, files.model_file.parent.parent, files.version
        )
        version = ModelVersion(
            card=card,
            version=files.version,
            path=copy.folder / files.model_file.name,
            file_sha256=copy.digests[files.model_file.name],
            file_bytes=size_bytes,
            generation=self._generations[card.name, files.version] + 1,
        )
        try:
            description = await self._ask(version)
        except InvalidSettings as exc:
            # Of the file that the operator knows, not of the copy.
            raise InvalidSettings(
                str(exc).replace(str(version.path), str(files.model_file))
            ) from exc
        if description.memory_bytes > settings.device_memory_mb * 1_000_000:
            raise InvalidSettings(
                f"it needs {description.memory_bytes} bytes; GW_DEVICE_MEMORY_MB gives less"
            )
        model = ShelvedModel(
            version=version, description=description, rules_sha256=card.rules.sha256()
        )
        return Taken(model=model, self_test=test, copy=copy)

    async def _ask(self, version: ModelVersion) -> ModelDescription:
        """Have the device describe a file, once more if it is lost: somebody may have killed it."""
        timeout_s = self._settings.load_timeout_s
        try:
            return await self._device.describe(version.card, version.path, timeout_s=timeout_s)
        except DeviceLost:
            return await self._device.describe(version.card, version.path, timeout_s=timeout_s)


def _why_refused(error: BaseException, files: VersionFiles) -> str | None:
    """Say what an error tells of the version; None for one that tells nothing of it."""
    if isinstance(error, OSError):
        return f"{error.filename or files.model_file} cannot be read or copied: {error.strerror}"
    if isinstance(error, GwError) and not isinstance(error, Unavailable):
        return str(error)
    return None
