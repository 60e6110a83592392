"""What a receiver's answers mean for the next deliveries to it: pure decisions on its health.

=====================  ===========================================================================
the receiver           what is sent to it
=====================  ===========================================================================
is closed              everything
is open                nothing until ``open_until``; then one probe at a time. What is held back
                       waits in its backlog, and that counts no attempt
has recovered          everything new, and what waited at a rate that grows from two a second, for
                       as long as it was away
is disabled            nothing, until somebody enables it
=====================  ===========================================================================

A probe is the delivery whose turn it is, so it counts as the attempt that it is. A receiver opens
after OPEN_AFTER failures in a row, and pauses double from five seconds to five minutes: so an
outage of days costs each delivery no more than its own schedule, and ends unnoticed for minutes.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from pipeline.deliveries.receivers import Health

#: Failures in a row after which only probes are sent, and the tenant is told.
OPEN_AFTER = 5
_FIRST_PAUSE_MS = 5_000
_LONGEST_PAUSE_MS = 300_000
#: An endpoint that has not answered 2xx for so long is disabled: longer than any holiday week-end.
HOPELESS_MS = 5 * 24 * 3600 * 1000

#: What has recovered is given what waited at so many a second at first, twice as many after ten.
_RAMP_FIRST_PER_S = 2.0
_RAMP_DOUBLES_S = 10.0
_CATCH_UP_MIN_MS = 60_000
_CATCH_UP_MAX_MS = 24 * 3600 * 1000
#: Between two portions of a backlog.
PORTION_MS = 1_000
_HASTE_MS = 100


@enum.verify(enum.UNIQUE)
class Passage(enum.StrEnum):
    """Whether a delivery may go."""

    FREE = "free"
    PROBE = "probe"
    WAIT = "wait"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The passage, and until when to wait (Unix ms) where that is the word."""

    passage: Passage
    until_unix_ms: int = 0


def gate(health: Health, now_unix_ms: int) -> Gate:
    """Tell whether a delivery may go now. Of those that may go as a probe only one is to."""
    if health.disabled_reason:
        return Gate(passage=Passage.REFUSED)
    if not health.is_open:
        return Gate(passage=Passage.FREE)
    # A clock that was set back must not keep a receiver closed for longer than a pause.
    until = max(health.open_until, health.probe_until)
    if now_unix_ms < until <= now_unix_ms + 2 * _LONGEST_PAUSE_MS:
        return Gate(passage=Passage.WAIT, until_unix_ms=until)
    return Gate(passage=Passage.PROBE)


def after_success(health: Health, now_unix_ms: int) -> Health:
    """Give the health after an answer 2xx: the same object where nothing changes."""
    if not health.failures and not health.is_open:
        return health
    well = replace(
        health, failures=0, failing_since=0, open_until=0, openings=0, probe_until=0, warned=0
    )
    return recovered(well, now_unix_ms, since=health.failing_since) if health.is_open else well


def recovered(health: Health, now_unix_ms: int, *, since: int) -> Health:
    """Give the health of a receiver that was away from *since* on and is back."""
    away_ms = min(max(now_unix_ms - since, _CATCH_UP_MIN_MS), _CATCH_UP_MAX_MS)
    return replace(health, recovered=now_unix_ms, catching_up_until=now_unix_ms + away_ms)


def catch_up_per_s(health: Health, now_unix_ms: int, *, most_per_s: float) -> float:
    """Give how many a second of what waited go to a receiver that was away; infinity else."""
    if health.is_open or not now_unix_ms < health.catching_up_until:
        return math.inf
    since_s = max(0, now_unix_ms - health.recovered) / 1000
    return min(_RAMP_FIRST_PER_S * 2 ** min(since_s / _RAMP_DOUBLES_S, 60), most_per_s)


def after_failure(health: Health, now_unix_ms: int, *, randomness: float) -> Health:
    """Give the health after a failed attempt; *randomness* (0 to 1) spreads the probes by a fifth.

    Attempts that were under way when the receiver opened do not prolong its pause.
    """
    failed = replace(
        health,
        failures=health.failures + 1,
        failing_since=health.failing_since or now_unix_ms,
    )
    if failed.failures < OPEN_AFTER or now_unix_ms < failed.open_until:
        return failed
    pause_ms = min(_FIRST_PAUSE_MS * 2 ** min(health.openings, 16), _LONGEST_PAUSE_MS)
    return replace(
        failed,
        open_until=now_unix_ms + round(pause_ms * (1 + 0.2 * randomness)),
        openings=health.openings + 1,
        probe_until=0,
        catching_up_until=0,
    )


def probing(health: Health, now_unix_ms: int, *, longest_ms: int) -> Health:
    """Give the health while a probe is under way that takes *longest_ms* at most."""
    return replace(health, probe_until=now_unix_ms + longest_ms)


def is_to_be_warned_of(health: Health) -> bool:
    """Whether the tenant is to be told that the receiver fails: once in each time of failing."""
    return health.is_open and health.warned != health.failing_since


def is_hopeless(health: Health, now_unix_ms: int) -> bool:
    """Whether the receiver has failed for so long that it is to be disabled."""
    return (
        health.failures >= OPEN_AFTER
        and not health.disabled_reason
        and now_unix_ms - health.failing_since >= HOPELESS_MS
    )


def disabled(health: Health, now_unix_ms: int, *, reason: str) -> Health:
    """Give the health of a receiver that is called no more."""
    return replace(health, disabled=now_unix_ms, disabled_reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How much of a backlog may go now, and when to look again (Unix ms)."""

    count: int
    next_unix_ms: int


def portion(
    health: Health, now_unix_ms: int, *, room: int, most_per_s: float, rate_per_s: float = 0.0
) -> Portion:
    """Give the portion of a receiver's backlog that is let go now.

    *room* is how many its lane can take. After an outage at most *most_per_s* a second go, however
    many wait; *rate_per_s* is the endpoint's own rate, 0 for none.
    """
    passage = gate(health, now_unix_ms)
    if passage.passage is Passage.WAIT:
        return Portion(count=0, next_unix_ms=passage.until_unix_ms)
    if passage.passage is Passage.PROBE:
        return Portion(count=1, next_unix_ms=now_unix_ms + PORTION_MS)
    if passage.passage is Passage.REFUSED:
        # Each is taken, refused and so ended.
        return Portion(count=max(room, 1), next_unix_ms=now_unix_ms + _HASTE_MS)
    catch_up = catch_up_per_s(health, now_unix_ms, most_per_s=most_per_s)
    per_s = min(rate_per_s or math.inf, catch_up)
    if math.isinf(per_s):
        return Portion(count=room, next_unix_ms=now_unix_ms + _HASTE_MS)
    count = min(room, max(1, int(per_s * PORTION_MS / 1000)))
    return Portion(count=count, next_unix_ms=now_unix_ms + PORTION_MS)
