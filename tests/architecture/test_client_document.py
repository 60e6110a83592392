"""The client's two faces, its page, and the API's routes held to what is written."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gw.client import AsyncClient, Client
from pipeline.settings import load
from webapp.app import create_app
from webapp.parts import Parts
from webapp.settings import WebappSettings

DOCS = Path(__file__).parents[2] / "docs"


def methods(kind: type[Any]) -> dict[str, Callable[..., Any]]:
    """Give the public methods of a client."""
    return {
        name: each
        for name, each in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_can_do_the_same() -> None:
    """Method by method, with the same parameters."""
    blocking, asynchronous = methods(Client), methods(AsyncClient)

    assert blocking.keys() == asynchronous.keys()
    for name, method in blocking.items():
        other = asynchronous[name]
        assert list(inspect.signature(method).parameters.values()) == list(
            inspect.signature(other).parameters.values()
        ), name
        assert method.__doc__ == other.__doc__, name


def test_the_clients_page_names_every_method() -> None:
    """And what it names is there."""
    page = (DOCS / "client.md").read_text("utf-8")
    table = page[page.index("| about |") : page.index("Those that give many")]
    named = set(re.findall(r"`(\w+)`", table))

    assert named == methods(Client).keys() - {"close"}


def written() -> str:
    """Give all that is written, with every name in braces as the same one."""
    pages = [page.read_text("utf-8") for page in DOCS.glob("*.md")]
    return re.sub(r"{[\w-]+}", "{}", "\n".join(pages))


def test_every_route_is_written_of() -> None:
    """Each path below ``/v1`` stands on a page, whole or as ``.../end``."""
    document = create_app(Parts.build(load(WebappSettings, {}))).openapi()
    text = written()
    # What belongs to another API is described by that API.
    own = [
        path
        for path, operations in document["paths"].items()
        if path.startswith("/v1/")
        and all(operation["tags"] != ["replicate"] for operation in operations.values())
    ]
    plain = {path: re.sub(r"{[\w-]+}", "{}", path) for path in own}
    missing = [
        path
        for path, short in plain.items()
        if short not in text and f".../{short.rpartition('/')[2]}" not in text
    ]

    assert missing == []
