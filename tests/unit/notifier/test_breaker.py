"""The breaker: when a receiver is spared, probed, trusted again, and given up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.breaker import (
    HOPELESS_MS,
    OPEN_AFTER,
    PORTION_MS,
    Passage,
    after_failure,
    after_success,
    disabled,
    gate,
    is_hopeless,
    is_to_be_warned_of,
    portion,
    probing,
)
from pipeline.deliveries.receivers import Health

NOW = 1_700_000_000_000


def failed(times: int, *, since: int = NOW, health: Health | None = None) -> Health:
    """Give the health after so many failures, a millisecond apart."""
    health = health or Health()
    for number in range(times):
        health = after_failure(health, since + number, randomness=0.0)
    return health


def test_a_few_failures_change_nothing_for_the_next_delivery() -> None:
    """Below the limit everything is sent, and one success forgets the failures."""
    health = failed(OPEN_AFTER - 1)

    assert gate(health, NOW).passage is Passage.FREE
    assert after_success(health, NOW) == Health()


def test_a_success_of_a_healthy_receiver_changes_nothing() -> None:
    """Nothing has to be written for each delivery."""
    health = Health(recovered=5, catching_up_until=9)

    assert after_success(health, NOW) is health


def test_failures_in_a_row_open_it() -> None:
    """Then deliveries wait until the pause is over, and one may probe."""
    health = failed(OPEN_AFTER)

    waiting = gate(health, NOW + 100)
    assert (waiting.passage, waiting.until_unix_ms) == (Passage.WAIT, health.open_until)
    assert gate(health, health.open_until).passage is Passage.PROBE


def test_one_probe_at_a_time() -> None:
    """While a probe is under way the others wait; one that is lost blocks nobody for long."""
    health = failed(OPEN_AFTER)
    at = health.open_until
    health = probing(health, at, longest_ms=20_000)

    assert gate(health, at + 1).passage is Passage.WAIT
    assert gate(health, at + 20_000).passage is Passage.PROBE


def test_pauses_double_up_to_five_minutes() -> None:
    """Each failed probe makes the next one later, within bounds."""
    health = failed(OPEN_AFTER)
    pauses_s = []
    for _ in range(9):
        at = health.open_until
        health = after_failure(health, at, randomness=0.0)
        pauses_s.append((health.open_until - at) / 1000)

    assert pauses_s == [10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_attempts_that_were_under_way_do_not_prolong_the_pause() -> None:
    """Four attempts that time out together open it once."""
    health = failed(OPEN_AFTER)

    later = failed(3, since=NOW + 50, health=health)

    assert later.open_until == health.open_until
    assert later.failures == OPEN_AFTER + 3


def test_a_clock_set_back_does_not_keep_it_closed() -> None:
    """A pause that ends further away than any pause is over."""
    health = failed(OPEN_AFTER, since=NOW + 10 * 3600 * 1000)

    assert gate(health, NOW).passage is Passage.PROBE


def test_a_probe_that_succeeds_closes_it() -> None:
    """Everything is sent again, and what waited is let go from now on."""
    health = after_success(failed(OPEN_AFTER), NOW + 9_000)

    assert gate(health, NOW + 9_000).passage is Passage.FREE
    assert (health.failures, health.failing_since, health.recovered) == (0, 0, NOW + 9_000)
    # As long as it was away, but a minute at least.
    assert health.catching_up_until == NOW + 69_000


def test_its_tenant_is_warned_once_in_each_time_of_failing() -> None:
    """When it opens; not again before it has recovered."""
    health = failed(OPEN_AFTER)
    assert not is_to_be_warned_of(failed(OPEN_AFTER - 1))
    assert is_to_be_warned_of(health)

    told = replace(health, warned=health.failing_since)
    again = failed(OPEN_AFTER, since=NOW + 10**6, health=after_success(told, NOW + 10**5))

    assert not is_to_be_warned_of(told)
    assert is_to_be_warned_of(again)


def test_it_is_given_up_late() -> None:
    """Five days of failures are hopeless, one minute less is not, and one success starts anew."""
    health = failed(OPEN_AFTER)

    assert not is_hopeless(health, NOW + HOPELESS_MS - 60_000)
    assert is_hopeless(health, NOW + HOPELESS_MS)
    assert not is_hopeless(after_success(health, NOW), NOW + HOPELESS_MS)
    given_up = disabled(health, NOW, reason="failing")
    assert gate(given_up, NOW).passage is Passage.REFUSED
    assert not is_hopeless(given_up, NOW + 2 * HOPELESS_MS)


def test_a_healthy_receiver_gets_as_much_of_its_backlog_as_fits() -> None:
    """Without an outage only its lane is the limit."""
    assert portion(Health(), NOW, room=64, most_per_s=1.0).count == 64


@pytest.mark.parametrize(("health_at", "count"), [(100, 0), (5_000, 1)])
def test_an_open_receivers_backlog_gives_a_probe_at_most(health_at: int, count: int) -> None:
    """Nothing within the pause, one after it."""
    health = failed(OPEN_AFTER)

    share = portion(health, health.open_until - 5_000 + health_at, room=64, most_per_s=100)

    assert share.count == count
    assert share.next_unix_ms >= health.open_until


@given(since_ms=st.integers(0, 10**9), room=st.integers(0, 10_000))
def test_after_an_outage_portions_stay_below_the_limit(since_ms: int, room: int) -> None:
    """At any time after a recovery, a second's portion is what is allowed or less, but not none."""
    back = Health(recovered=NOW, catching_up_until=NOW + 10**9 + 1)
    share = portion(back, NOW + since_ms, room=room, most_per_s=50)

    assert share.count <= min(room, 50)
    assert share.count >= min(room, 1)
    assert share.next_unix_ms == NOW + since_ms + PORTION_MS


def test_the_first_portion_after_an_outage_is_small() -> None:
    """It grows from two a second."""
    back = Health(recovered=NOW, catching_up_until=NOW + 10**9)
    shares = [
        portion(back, NOW + s * 1000, room=1000, most_per_s=500).count for s in (0, 10, 20, 60, 600)
    ]

    assert shares == [2, 4, 8, 128, 500]


def test_an_endpoints_own_rate_bounds_its_portion() -> None:
    """What its bucket would refuse is not let go."""
    assert portion(Health(), NOW, room=64, most_per_s=500, rate_per_s=3.0).count == 3
    assert portion(Health(), NOW, room=64, most_per_s=500, rate_per_s=0.5).count == 1
