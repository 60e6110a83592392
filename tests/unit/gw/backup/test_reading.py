"""An archive is as it was written, or it is refused."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from gw.backup.manifest import BadArchive
from gw.backup.reading import opened
from tests.unit.gw.backup.archives import PICTURE, write_archive


def test_an_archive_gives_back_what_was_put_in(tmp_path: Path) -> None:
    """Each file comes back with its bytes, mode and time; the manifest counts them."""
    path = tmp_path / "a.tar"
    written = write_archive(path, tmp_path)
    before = (tmp_path / "picture").stat()

    with opened(path) as archive:
        assert archive.manifest == written
        assert archive.store().read() == b"REDIS0011 and so on"
        assert list(archive.names("models")) == ["models/mean/model.toml"]
        archive.extract("pictures/ab/job_1ab", tmp_path / "out" / "job_1ab")

    after = (tmp_path / "out" / "job_1ab").stat()
    assert (tmp_path / "out" / "job_1ab").read_bytes() == PICTURE
    assert after.st_mode == before.st_mode
    assert after.st_mtime == pytest.approx(before.st_mtime, abs=0.001)
    assert written.count("pictures") == 1
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["job_1ab"]


@pytest.mark.parametrize("left", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_cut_archive_is_refused(tmp_path: Path, left: float) -> None:
    """Wherever it was cut."""
    path = tmp_path / "a.tar"
    write_archive(path, tmp_path)
    whole = path.read_bytes()
    # Behind the members there are only zeros that fill a record.
    whole = whole.rstrip(b"\0")
    path.write_bytes(whole[: int(len(whole) * left)])

    with pytest.raises(BadArchive), opened(path):
        pass


def test_an_altered_archive_is_refused(tmp_path: Path) -> None:
    """One bit anywhere that means something, in content, header or manifest, is noticed."""
    path = tmp_path / "a.tar"
    write_archive(path, tmp_path)
    whole = path.read_bytes()
    places = [whole.index(text) for text in (b"REDIS0011", PICTURE[:100], b"[model]")]
    places += [whole.index(text) for text in (b'"gw_version"', b"pictures/ab", b"store.rdb")]
    places += [whole.index(b"manifest.sha256") + 512]
    for place in places:
        altered = bytearray(whole)
        altered[place + 3] ^= 1
        path.write_bytes(altered)
        with pytest.raises(BadArchive), opened(path):
            pass


def add(name: str, *, kind: bytes = tarfile.REGTYPE) -> Callable[[tarfile.TarFile], None]:
    """Give what adds a member to an archive that is whole otherwise."""

    def do(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info, io.BytesIO(b""))

    return do


@pytest.mark.parametrize(
    "change",
    [
        add("../outside"),
        add("/etc/passwd"),
        add("models/../../outside"),
        add("redis/appendonlydir/x"),
        add("models/link", kind=tarfile.SYMTYPE),
        add("models/device", kind=tarfile.CHRTYPE),
        add("models/mean/more"),
        add("store.rdb"),
    ],
)
def test_a_member_that_the_manifest_does_not_have_is_refused(
    tmp_path: Path, change: Callable[[tarfile.TarFile], None]
) -> None:
    """Paths that lead out, links, devices, doubles and strangers never reach the disk."""
    path = tmp_path / "a.tar"
    write_archive(path, tmp_path)
    with tarfile.open(path, "a") as tar:
        change(tar)

    with pytest.raises(BadArchive), opened(path):
        pass


def test_another_tar_is_refused(tmp_path: Path) -> None:
    """A tar of somebody else's, and a file that is none."""
    path = tmp_path / "a.tar"
    for content in (b"", b"hello" * 1000):
        path.write_bytes(content)
        with pytest.raises(BadArchive), opened(path):
            pass
    with tarfile.open(path, "w") as tar:
        add("models/x")(tar)
    with pytest.raises(BadArchive, match="no end"), opened(path):
        pass
