"""Deciding whether a submission may come in."""

from __future__ import annotations

import pytest

from pipeline.jobs.job import JobState
from pipeline.models.catalogue import ModelEntry
from webapp.admission import (
    REFUSAL_COUNTS_MS,
    DrainRate,
    RecentRefusals,
    choose_version,
    full,
    retry_after_s,
)
from webapp.refusals import ModelNotReady, UnknownModel, UnknownVersion

MODELS = {
    "echo": ModelEntry(name="echo", versions=("2", "1")),
    "broken": ModelEntry(name="broken", reason="it was built for another device"),
}


def test_the_newest_version_is_the_default() -> None:
    """A job that names none gets the first."""
    assert choose_version(MODELS, model="echo", version="") == "2"


def test_a_named_version_is_kept() -> None:
    """An older one may still be asked for."""
    assert choose_version(MODELS, model="echo", version="1") == "1"


def test_an_unknown_model_lists_the_known() -> None:
    """The caller sees what there is."""
    with pytest.raises(UnknownModel) as caught:
        choose_version(MODELS, model="ehco", version="")

    assert (caught.value.field, caught.value.allowed) == ("model", ("echo", "broken"))


def test_an_unknown_version_lists_the_known() -> None:
    """The caller sees which there are."""
    with pytest.raises(UnknownVersion) as caught:
        choose_version(MODELS, model="echo", version="3")

    assert (caught.value.field, caught.value.allowed) == ("version", ("2", "1"))


def test_a_refused_model_says_why() -> None:
    """It is not the caller's fault, and the reason tells what to do."""
    with pytest.raises(ModelNotReady, match="built for another device"):
        choose_version(MODELS, model="broken", version="")


@pytest.mark.parametrize(
    ("excess", "drained_per_s", "seconds"),
    [
        (1, 0.0, 60),
        (1, 100.0, 1),
        (270, 100.0, 3),
        (230, 100.0, 2),
        (10**6, 1.0, 60),
        (-5, 10.0, 1),
    ],
)
def test_retry_after_follows_the_drain_rate(
    excess: int, drained_per_s: float, seconds: int
) -> None:
    """As long as it takes for the excess to leave, between a second and a minute."""
    assert retry_after_s(excess, drained_per_s) == seconds


def test_being_full_says_when_there_is_room() -> None:
    """Numbers and moment are in the error."""
    error = full(waiting=100, wanted=10, waiting_max=100, drained_per_s=5)

    assert "100 jobs wait" in str(error)
    assert error.retry_after_s == 2


def test_the_drain_rate_is_that_of_the_window() -> None:
    """Ends within the last half minute count, whatever their state."""
    rate = DrainRate()
    assert rate.per_s == 0

    rate.add(0, {JobState.SUCCEEDED: 1000, JobState.QUEUED: 7})
    assert rate.per_s == 0
    rate.add(10_000, {JobState.SUCCEEDED: 1040, JobState.FAILED: 10, JobState.QUEUED: 900})
    assert rate.per_s == pytest.approx(5)

    rate.add(35_000, {JobState.SUCCEEDED: 1040, JobState.FAILED: 60})
    assert rate.per_s == pytest.approx(2)


def test_counts_that_start_anew_are_no_negative_rate() -> None:
    """A store that was emptied drains nothing."""
    rate = DrainRate()

    rate.add(0, {JobState.SUCCEEDED: 1000})
    rate.add(1000, {JobState.SUCCEEDED: 0})

    assert rate.per_s == 0


def test_a_refusal_speaks_of_its_tenant_for_a_moment() -> None:
    """Others are not concerned, and it is forgotten soon."""
    refusals = RecentRefusals()
    refusals.note("acme", 1_000.0)

    assert refusals.is_likely("acme", 1_000.0 + REFUSAL_COUNTS_MS - 1)
    assert not refusals.is_likely("acme", 1_000.0 + REFUSAL_COUNTS_MS)
    assert not refusals.is_likely("other", 1_000.0)


def test_thousands_of_refused_tenants_take_no_memory() -> None:
    """The oldest are let go of."""
    refusals = RecentRefusals()
    for number in range(5_000):
        refusals.note(f"t{number}", 0.0)

    assert sum(refusals.is_likely(f"t{number}", 1.0) for number in range(5_000)) <= 1024
