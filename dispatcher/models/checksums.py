"""``SHA256SUMS``: what a model's files must be before any of them is used.

The format is that of coreutils' ``sha256sum``: a line is the hex digest, a space, a space or a
star, and the file's name, relative to the folder that the list lies in. A list in a version's
folder is about that folder; one in the model's folder names ``2/model.onnx`` and ``model.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import InvalidSettings

SUMS_FILE_NAME = "SHA256SUMS"

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(\S.*)")
_LARGEST_BYTES = 1_000_000


def read_sums(folder: Path) -> Mapping[str, str] | None:
    """Give the list in *folder* by file name; None where there is none, InvalidSettings if bad."""
    file = folder / SUMS_FILE_NAME
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise InvalidSettings(f"{file} cannot be read: {exc.strerror}") from exc
    if len(content) > _LARGEST_BYTES:
        raise InvalidSettings(f"{file} is larger than {_LARGEST_BYTES} bytes")
    sums = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.rstrip())
        if found is None:
            raise InvalidSettings(f"{file}:{number}: is no line of sha256sum: <digest>  <name>")
        sums[found[2]] = found[1].lower()
    return sums


def why_mismatched(
    sums: Mapping[str, str], digests: Mapping[str, str], *, required: str, file: Path
) -> str | None:
    """Say how *digests* of files that are there contradict the list in *file*; None if not at all.

    The list must name *required*. What it names besides and is not there counts as not yet copied,
    where *digests* knows the folder; names in other folders are somebody else's.
    """
    if required not in sums:
        return f"{file} does not list {required}"
    folder = required.rpartition("/")[0]
    for name, wanted in sums.items():
        if name.rpartition("/")[0] not in (folder, ""):
            continue
        if name not in digests:
            return f"{file} lists {name}, which is not there yet"
        if digests[name] != wanted:
            return f"{name} has another sha256 than {file} says: it is not whole yet, or not it"
    return None
