"""The webapp's settings."""

from __future__ import annotations

from pathlib import Path

from pipeline.settings import describe, load
from webapp.settings import WebappSettings


def test_the_defaults_listen_on_loopback_only() -> None:
    """Opening the port to a network is a decision."""
    settings = load(WebappSettings, {})

    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8080)


def test_pictures_lie_in_the_data_folder() -> None:
    """Where the dispatcher looks for them."""
    settings = load(WebappSettings, {"GW_DATA_DIR": "/var/lib/gw"})

    assert settings.blobs_dir == Path("/var/lib/gw/pictures")


def test_every_setting_has_a_name_of_its_own() -> None:
    """Two settings cannot share a variable."""
    names = [row.name for row in describe(WebappSettings)]

    assert len(names) == len(set(names))
    assert all(name.startswith("GW_") for name in names)
