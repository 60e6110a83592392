"""The shelf knows which versions are offered, and who runs a job."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.cards.card import ResizeMode, VersionsSpec
from dispatcher.models.probation import Probation
from dispatcher.models.repository import Refusal
from dispatcher.models.shelf import Shelf
from tests.builders import make_job
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


def test_versions_are_offered_newest_first_by_number() -> None:
    """Version 10 comes before version 9, and is the default."""
    shelf = Shelf([make_shelved("echo", version=version) for version in (9, 10, 2)], [])
    assert [model.version.version for model in shelf.offered("echo")] == [10, 9, 2]
    assert shelf.default("echo") is shelf.find("echo", "10")
    assert shelf.default("nothing") is None


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        (VersionsSpec(), [5, 4, 3]),
        (VersionsSpec(latest=1), [5]),
        (VersionsSpec(pinned=(2, 4)), [4, 2]),
        (VersionsSpec(pinned=(9,)), []),
    ],
)
def test_the_newest_card_says_which_versions_are_kept(spec: VersionsSpec, kept: list[int]) -> None:
    """The latest so many, those pinned, or as many as the operator allows; all of them run."""
    card = replace(make_card(), versions=spec)
    models = [make_shelved("echo", version=v, card=card) for v in range(1, 6)]
    shelf = Shelf(models, versions_max=3)
    assert [model.version.version for model in shelf.offered("echo")] == kept
    assert shelf.find("echo", "1") is models[0]


def test_a_version_that_failed_makes_room_for_an_older_one() -> None:
    """Of the latest two only those count that can be used."""
    card = replace(make_card(), versions=VersionsSpec(latest=2))
    shelf = Shelf([make_shelved("echo", version=v, card=card) for v in (1, 2, 3)])
    slot = shelf.slot("echo", "3")
    assert slot is not None
    slot.failed = "rolled back"
    assert [model.version.version for model in shelf.offered("echo")] == [2, 1]


def test_an_unloaded_model_is_not_offered_and_still_runs() -> None:
    """By its name, or one version of it; what was accepted finds its version."""
    shelf = Shelf([make_shelved("echo", version=v) for v in (1, 2)])
    shelf.unloaded = frozenset({"echo/2"})
    assert [model.version.version for model in shelf.offered("echo")] == [1]
    shelf.unloaded = frozenset({"echo"})
    assert shelf.offered("echo") == []
    assert shelf.for_job(make_job(version="2", pinned=True)) is shelf.find("echo", "2")


def test_who_runs_a_job() -> None:
    """Its own version; where that failed or went, the default for a job that named none."""
    one, two = make_shelved("echo"), make_shelved("echo", version=2)
    shelf = Shelf([one, two])
    free, pinned = make_job(version="2", pinned=False), make_job(version="2", pinned=True)
    assert shelf.for_job(free) is two
    slot = shelf.slot("echo", "2")
    assert slot is not None
    slot.removed_ms = 1.0
    assert shelf.for_job(free) is one
    assert shelf.for_job(pinned) is two
    shelf.take_off("echo", "2")
    assert shelf.for_job(free) is one
    assert shelf.for_job(pinned) is None
    shelf.take_off("echo", "1")
    assert shelf.for_job(free) is None
    assert shelf.names == ()


def test_a_failure_is_taken_over_only_from_a_version_on_trial() -> None:
    """On trial the one before runs the job; rolled back the default; else the failure stands."""
    one, two = make_shelved("echo"), make_shelved("echo", version=2)
    shelf = Shelf([one, two])
    assert shelf.instead(two) is None
    slot = shelf.slot("echo", "2")
    assert slot is not None
    slot.probation, slot.before = Probation(), one
    assert shelf.instead(two) is one
    slot.probation, slot.before, slot.failed = None, None, "rolled back"
    assert shelf.instead(two) is one
    assert shelf.instead(one) is None


def test_a_refusal_lasts_until_the_version_is_put() -> None:
    """A version that becomes usable is no longer told of as refused."""
    shelf = Shelf([], [Refusal(model="echo", version=1, reason="cut short")])
    assert [refusal.reason for refusal in shelf.refusals] == ["cut short"]
    shelf.put(make_shelved("echo"))
    assert shelf.refusals == ()


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
