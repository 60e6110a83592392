"""Options of the subcommands that ask the API, and the way to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx

from gw.data_folder import DataFolder
from gw.options import data_option, json_option
from gw.settings import CommandSettings, environ_with
from gw.submit import find_api
from pipeline.settings import load

F = TypeVar("F", bound=Callable[..., Any])

_url_option = click.option(
    "--url", help="The API's address; by default the one of `gw up`, or GW_URL."
)
_key_option = click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="A file with an API key; by default GW_API_KEY, or the key that `gw up` made.",
)


def api_options(function: F) -> F:
    """Add what says where the API is."""
    return data_option(json_option(_url_option(_key_option(function))))


def connect(data_dir: Path | None, url: str | None, key_file: Path | None) -> httpx.Client:
    """Give a client of the API that the options name."""
    settings = load(CommandSettings, environ_with(os.environ, data_dir=data_dir))
    folder = DataFolder.at(settings.data_dir)
    return find_api(os.environ, folder, url=url, key_file=key_file).connect()
