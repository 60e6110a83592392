"""Batches as tests submit them, and what they leave on the disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.integration.webapp.running import PICTURE, Webapp

VIDEO = b"\x00\x00\x00\x18ftypmp42" + b"\0" * 100


def archive_of(*names: str) -> bytes:
    """Zip a picture under each of *names*."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, PICTURE)
    return out.getvalue()


def files(folder: Path) -> list[str]:
    """List what batches have left on the disk."""
    return sorted(path.name for path in folder.glob("batches/*"))


async def post(webapp: Webapp, content: bytes, kind: str, **params: str) -> httpx.Response:
    """Post a body as a batch."""
    return await send(webapp, content, kind, {}, **params)


async def send(
    webapp: Webapp, content: bytes, kind: str, own: Mapping[str, str], /, **params: str
) -> httpx.Response:
    """Post a body as a batch with headers of the test's *own*."""
    return await webapp.http.post(
        "/v1/batches",
        params={"model": "echo"} | params,
        content=content,
        headers={"content-type": kind} | dict(own),
    )
