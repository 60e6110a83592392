"""SHA256SUMS in coreutils' format, and what contradicts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dispatcher.models.checksums import SUMS_FILE_NAME, read_sums, why_mismatched
from dispatcher.models.copies import hash_files
from pipeline.errors import InvalidSettings

A, B = "a" * 64, "b" * 64


def test_what_sha256sum_writes_is_read(tmp_path: Path) -> None:
    """Text and binary mode, with and without ./ before the name."""
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "model.onnx.data").write_bytes(b"more")
    for arguments in (["model.onnx", "model.onnx.data"], ["-b", "./model.onnx", "model.onnx.data"]):
        told = subprocess.run(
            ["sha256sum", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        (tmp_path / SUMS_FILE_NAME).write_text(told.stdout)
        assert read_sums(tmp_path) == hash_files(
            [tmp_path / "model.onnx", tmp_path / "model.onnx.data"]
        )


def test_without_a_list_nothing_is_asked(tmp_path: Path) -> None:
    """No file, no demand."""
    assert read_sums(tmp_path) is None


@pytest.mark.parametrize("text", ["nonsense", f"{A} model.onnx", f"{'g' * 64}  x", f"{A}  "])
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """A line that sha256sum would not write is named: half a list is no list."""
    (tmp_path / SUMS_FILE_NAME).write_text(f"# made by hand\n\n{text}\n")
    with pytest.raises(InvalidSettings, match="SHA256SUMS:3"):
        read_sums(tmp_path)


@pytest.mark.parametrize(
    ("sums", "digests", "reason"),
    [
        ({"m": A}, {"m": A}, None),
        ({"m": A, "2/m": B}, {"m": A}, None),
        ({"m": A}, {"m": B}, "m has another sha256"),
        ({"n": A}, {"m": A}, "does not list m"),
        ({"m": A, "n": B}, {"m": A}, "lists n, which is not there yet"),
    ],
)
def test_a_contradiction_is_told(
    sums: dict[str, str], digests: dict[str, str], reason: str | None
) -> None:
    """What differs, what is not listed, and what is listed and absent."""
    told = why_mismatched(sums, digests, required="m", file=Path("SHA256SUMS"))
    assert (told is None) == (reason is None)
    assert told is None or (reason or "") in told
