"""Restores an archive: into the data folder of a stack that does not run, or over the network.

Everything that can refuse comes first: until the whole archive is proved and its target is fit,
nothing is written. Files come before the records that name them; a restore that is cut short is
done again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gw.backup.feeding import feed_store
from gw.backup.manifest import API_KEY, MODELS, SECTIONS, STORE, Manifest
from gw.backup.placing import check_reader, has_store, place_store, server_kept_away
from gw.backup.reading import Archive, opened
from gw.backup.wire import Refused, Wire, info, server_of
from gw.data_folder import DataFolder
from gw.run_lock import RunLock, holder_of
from pipeline.errors import InvalidSettings
from pipeline.health import STALE_AFTER_MS
from pipeline.protocol import Keyspace
from pipeline.settings import RedisSettings

_FEED_TIMEOUT_S: Final = 600.0
_POLL_S: Final = 0.1
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to. *redis* is a server to restore into over the network; None is the embedded one.

    *models* is None where they are left out. *force* replaces what is there.
    """

    folder: DataFolder
    models: Path | None
    redis: RedisSettings | None
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, and where the job store that was there before was put."""

    manifest: Manifest
    aside: Path | None


def restore(path: Path, target: Target) -> Restored:
    """Restore the archive *path*; raises BadArchive or InvalidSettings, changing nothing."""
    if target.redis is None and holder_of(target.folder.lock) is not None:
        raise InvalidSettings(f"gw runs on {target.folder.root}; `gw down` stops it")
    with opened(path) as archive:
        _check_models(archive, target)
        if target.redis is not None:
            return _restore_over_network(archive, target, target.redis)
        return _restore_embedded(archive, target)


def _restore_embedded(archive: Archive, target: Target) -> Restored:
    manifest, folder = archive.manifest, target.folder
    if manifest.prefix != RedisSettings().prefix:
        raise InvalidSettings(
            f"the archive's keys begin with {manifest.prefix}, and the embedded stack's with"
            f" {RedisSettings().prefix}; it can be restored over the network only"
        )
    if has_store(folder) and not target.force:
        raise InvalidSettings(
            f"{folder.root} holds a job store already; name another folder with --data, or put"
            " this one aside with --force"
        )
    with tempfile.TemporaryDirectory() as scratch:
        check_reader(
            Path(scratch), product=manifest.server_product, version=manifest.server_version
        )
    folder.create()
    with RunLock(folder.lock), server_kept_away(folder):
        _write_files(archive, target)
        if API_KEY in manifest.members:
            archive.extract(API_KEY, folder.api_key)
        os.sync()
        aside = place_store(
            folder,
            archive.store(),
            product=manifest.server_product,
            version=manifest.server_version,
        )
    return Restored(manifest=manifest, aside=aside)


def _restore_over_network(archive: Archive, target: Target, redis: RedisSettings) -> Restored:
    manifest = archive.manifest
    if manifest.prefix != redis.prefix:
        raise InvalidSettings(
            f"the archive's keys begin with {manifest.prefix}; set GW_REDIS_PREFIX to that"
        )
    with Wire(redis) as wire:
        _check_server(wire, manifest, force=target.force)
        _check_nobody_works(wire, Keyspace(redis.prefix))
        _write_files(archive, target)
        os.sync()
        size = manifest.members[STORE].bytes
        feed_store(wire, archive.store(), size, timeout_s=_FEED_TIMEOUT_S)
    return Restored(manifest=manifest, aside=None)


def _check_server(wire: Wire, manifest: Manifest, *, force: bool) -> None:
    product, version = server_of(wire)
    older = _numbers(version)[:2] < _numbers(manifest.server_version)[:2]
    if product != manifest.server_product or older:
        raise InvalidSettings(
            f"the archive was written by {manifest.server_product} {manifest.server_version}, which"
            f" {product} {version} cannot be trusted to read"
        )
    if info(wire, "replication").get("role") != "master":
        raise InvalidSettings("the job store is a replica; restore into its primary")
    try:
        # It changes nothing there, and tells whether we may do what follows.
        wire.ask("REPLICAOF", "NO", "ONE")
    except Refused as error:
        raise InvalidSettings(
            f"{error}; a restore takes a user that may use REPLICAOF, such as `operator` of the"
            " containers' Redis"
        ) from error
    if wire.ask("DBSIZE") != 0 and not force:
        raise InvalidSettings("the job store is not empty; --force replaces all that is in it")


def _check_nobody_works(wire: Wire, keys: Keyspace) -> None:
    """Raise InvalidSettings while services are at work: they would not know what befell them."""
    before = wire.ask("HGETALL", keys.health)
    # A service that stopped in order leaves no heartbeat; one that was killed leaves its last.
    deadline_s = time.monotonic() + (STALE_AFTER_MS / 1000 if before else 0)
    while time.monotonic() < deadline_s:
        if wire.ask("HGETALL", keys.health) != before:
            raise InvalidSettings(
                "services work on this job store; stop all of them but Redis first"
            )
        time.sleep(_POLL_S)


def _check_models(archive: Archive, target: Target) -> None:
    """Raise InvalidSettings where a model's file differs from ours, unless it may be replaced."""
    if target.models is None or target.force:
        return
    for name in archive.names(MODELS):
        path = target.models / name.removeprefix(f"{MODELS}/")
        if path.exists() and not _is_same(archive, name, path):
            raise InvalidSettings(
                f"{path} is there and differs from the archive's; --force replaces it,"
                " --without-models leaves models alone"
            )


def _write_files(archive: Archive, target: Target) -> None:
    for section in SECTIONS:
        root = target.models if section == MODELS else target.folder.root / section
        if root is None:
            continue
        for name in archive.names(section):
            path = root / name.removeprefix(f"{section}/")
            # A model that is touched would be loaded again.
            if section != MODELS or not _is_same(archive, name, path):
                archive.extract(name, path)


def _is_same(archive: Archive, name: str, path: Path) -> bool:
    member = archive.manifest.members[name]
    try:
        return path.stat().st_size == member.bytes and _sha256_of(path) == member.sha256
    except FileNotFoundError:
        return False


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _numbers(version: str) -> list[int]:
    return [int(each) for each in version.split(".") if each.isdecimal()]
