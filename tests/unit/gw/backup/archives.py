"""Archives for tests."""

from __future__ import annotations

import io
from pathlib import Path

from gw.backup.manifest import STORE, Manifest
from gw.backup.writing import ArchiveWriter

MANIFEST = Manifest(
    gw_version="1.2.3",
    taken_unix_ms=1,
    prefix="gw1",
    server_product="valkey",
    server_version="9.1.2",
    jobs={"queued": 2},
    members={},
)

#: A picture is longer than one piece of a copy.
PICTURE = b"\xff\xd8" * 800_000


def write_archive(path: Path, files: Path) -> Manifest:
    """Write an archive with a store, a picture, a model and an empty file."""
    (files / "picture").write_bytes(PICTURE)
    (files / "model.toml").write_bytes(b"[model]")
    (files / "empty").write_bytes(b"")
    with ArchiveWriter(path, on_progress=lambda: None) as writer:
        writer.add_stream(STORE, io.BytesIO(b"REDIS0011 and so on"), 19)
        assert writer.add_file("pictures/ab/job_1ab", files / "picture")
        assert writer.add_file("models/mean/model.toml", files / "model.toml")
        assert writer.add_file("kept/cd/job_2cd", files / "empty")
        assert not writer.add_file("pictures/ab/gone", files / "gone")
        assert not writer.add_file("pictures/ab/new", files / "picture", newest_unix_s=1.0)
        return writer.commit(MANIFEST)
