"""Writes a file that was not there before: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import InvalidSettings


def write_new(path: Path, content: bytes) -> None:
    """Write *content* to *path*, making its folder; raises InvalidSettings if it is there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = path.open("xb")
    except FileExistsError as exc:
        raise InvalidSettings(f"{path} is there already; move it away or name another") from exc
    except OSError as exc:
        raise InvalidSettings(f"{path} cannot be written: {exc.strerror or exc}") from exc
    try:
        with opened:
            opened.write(content)
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise InvalidSettings(f"{path} cannot be written: {exc.strerror or exc}") from exc
