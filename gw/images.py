"""The installed versions of our images, as the Docker engine of this host lists them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.errors import NotFound, Unavailable

_PATIENCE_S: Final = 30.0
_LABEL: Final = "org.opencontainers.image."
_OURS: Final = "gw/"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledImage:
    """One image under one name. *is_running* tells whether a container was made from it."""

    name: str
    version: str
    revision: str
    created: str
    base: str
    size_bytes: int
    is_running: bool


def list_images() -> list[InstalledImage]:
    """Ask the engine for our images; raises Unavailable where there is no engine to ask."""
    listed = _ask("image", "ls", "--quiet", "--filter", f"reference={_OURS}*")
    ids = sorted(set(listed.split()))
    if not ids:
        return []
    found = json.loads(_ask("image", "inspect", *ids))
    in_use = json.loads(f"[{','.join(_ask('ps', '--format', '{{json .Image}}').split())}]")
    return installed_images(found, in_use)


def installed_images(
    found: Iterable[Mapping[str, Any]], in_use: Sequence[str]
) -> list[InstalledImage]:
    """Read what ``docker image inspect`` tells: each name by itself, newest versions first."""
    images = []
    for document in found:
        labels = (document.get("Config") or {}).get("Labels") or {}
        for name in document.get("RepoTags") or ():
            if not name.startswith(_OURS):
                continue
            images.append(
                InstalledImage(
                    name=name,
                    version=labels.get(f"{_LABEL}version", ""),
                    revision=labels.get(f"{_LABEL}revision", ""),
                    created=labels.get(f"{_LABEL}created", ""),
                    base=labels.get(f"{_LABEL}base.name", ""),
                    size_bytes=int(document.get("Size") or 0),
                    is_running=name in in_use,
                )
            )
    images.sort(key=lambda image: image.name)
    images.sort(key=lambda image: _order(image.name.rpartition(":")[2]), reverse=True)
    return images


def use_version(version: str, prefix: Path) -> int:
    """Let the installation in *prefix* switch to *version*; give the exit code of its installer.

    The installer waits until the other version is ready, and goes back by itself if it is not.
    Raises NotFound where nothing was installed, Unavailable where there is no engine.
    """
    _docker()
    installer = prefix / "install.sh"
    if not installer.is_file():
        raise NotFound(
            f"there is no {installer}: install from a bundle, or name the folder with --prefix. A"
            " stack that was started by hand is switched with GW_VERSION in its .env and"
            " `docker compose up --detach --wait`"
        )
    command = [str(installer), "--prefix", str(prefix), "--use", version]
    return subprocess.run(command, check=False).returncode  # noqa: S603  # the installation's own


def _order(tag: str) -> tuple[int, tuple[int, ...], str]:
    """Order tags: numbers by value, and names such as ``latest`` before them.

    >>> sorted(["0.1.9", "latest", "0.1.10"], key=_order)
    ['0.1.9', '0.1.10', 'latest']
    """
    parts = tag.split(".")
    if all(part.isdigit() for part in parts):
        return 0, tuple(map(int, parts)), tag
    return 1, (), tag


def _docker() -> str:
    program = shutil.which("docker")
    if program is None:
        raise Unavailable("docker is not here: gw images works on the host, not in a container")
    return program


def _ask(*arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command, no shell
            [_docker(), *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"docker gave no answer within {_PATIENCE_S:g} s") from exc
    if done.returncode:
        raise Unavailable(f"docker does not answer: {done.stderr.strip()[:200]}")
    return done.stdout
