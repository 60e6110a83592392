"""The shelf finds models by name and version, and tells the catalogue what there is and is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.cards.card import ResizeMode
from dispatcher.models.repository import Refusal
from dispatcher.models.shelf import Shelf
from pipeline.models.rules import Rules
from tests.builders_dispatcher import make_shelved
from tests.builders_onnx import make_card


def test_models_are_found_by_name_and_version() -> None:
    """A version that is not there gives nothing, whatever else there is of the name."""
    two = make_shelved("echo", version=2)
    shelf = Shelf([make_shelved("echo"), two, make_shelved("other")], [])
    assert shelf.find("echo", "2") is two
    assert shelf.find("echo", "3") is None
    assert shelf.find("nothing", "1") is None
    assert shelf.names == ("echo", "other")
    assert set(shelf.models) == {"echo/1", "echo/2", "other/1"}


def test_the_catalogue_lists_versions_newest_first_by_number() -> None:
    """Version 10 comes before version 9, and the newest card speaks for the model."""
    labelled = replace(make_card(), rules=Rules(labels=("cat", "dog")))
    shelf = Shelf(
        [
            make_shelved("echo", version=9),
            make_shelved("echo", version=10, card=labelled),
            make_shelved("echo", version=2),
        ],
        [],
    )
    (entry,) = shelf.entries()
    assert entry.versions == ("10", "9", "2")
    assert entry.labels == ("cat", "dog")
    assert entry.reason == ""


def test_what_is_refused_is_listed_with_its_reason() -> None:
    """A model without a usable version has none; a bad version is told of beside the good ones."""
    refusals = [
        Refusal(model="broken", version=None, reason="the card is no TOML"),
        Refusal(model="echo", version=3, reason="the file is cut short"),
    ]
    shelf = Shelf([make_shelved("echo")], refusals)
    echo, broken = shelf.entries()
    assert (echo.name, echo.versions) == ("echo", ("1",))
    assert echo.reason == "version 3: the file is cut short"
    assert (broken.name, broken.versions, broken.reason) == ("broken", (), "the card is no TOML")


def test_a_model_refused_twice_is_listed_once() -> None:
    """However many versions of a model are refused, the catalogue has one entry of it."""
    refusals = [Refusal(model="broken", version=v, reason=f"reason {v}") for v in (1, 2)]
    (entry,) = Shelf([], refusals).entries()
    assert entry.name == "broken"
    assert "version 1: reason 1" in entry.reason
    assert "version 2: reason 2" in entry.reason


def test_limits_come_from_the_card_and_the_file() -> None:
    """The card bounds the batch, the file's gears bound it further."""
    limits = make_shelved(max_size=6, gears=(1, 2, 4)).limits
    assert (limits.largest, limits.padded(3), limits.max_delay_ms) == (4, 4, 5)


def test_larger_inputs_weigh_more_only_where_sizes_differ() -> None:
    """In mode free an input weighs as its pixels do to the smallest one; else all weigh one."""
    free = make_card(resize=ResizeMode.FREE, side_px=640)
    free = replace(free, input=replace(free.input, min_side_px=32))
    assert make_shelved(card=free).item_weight((3, 64, 96)) == pytest.approx(6.0)
    assert make_shelved().item_weight((3, 4, 4)) == 1.0
