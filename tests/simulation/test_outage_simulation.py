"""Three days without a receiver, in simulated time, with the notifier's own decisions.

The simulator keeps a schedule, a backlog and orders as the notifier keeps them in Redis, and asks
the same functions what to do; time jumps from one moment to the next.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import pytest

from egress.answer import Answer, Fault, FaultKind
from notifier.breaker import (
    Passage,
    after_failure,
    after_success,
    catch_up_per_s,
    gate,
    is_hopeless,
    portion,
    probing,
)
from notifier.schedule import DEFAULT_SCHEDULE, RetrySchedule, Verdict, verdict, wait_s
from pipeline.deliveries.receivers import Health

HOUR_MS = 3_600_000
OUTAGE_MS = 72 * HOUR_MS
MOST_PER_S = 50.0
EVENTS_EVERY_MS = 20_000
GROUPS = 7
SCHEDULE = RetrySchedule.parse(DEFAULT_SCHEDULE)


@dataclass(slots=True)
class Simulated:
    """One delivery: its number in the order of the events, its group, its attempts."""

    number: int
    group: int
    attempts: int = 0
    state: Verdict = Verdict.RETRY


@dataclass(slots=True)
class Outage:
    """A receiver that is away from the start to *ends_ms*, and everything that is for it."""

    seed: int
    is_ordered: bool
    ends_ms: int = OUTAGE_MS
    health: Health = field(default_factory=Health)
    agenda: list[tuple[int, int, str, Simulated | None]] = field(default_factory=list)
    backlog: deque[Simulated] = field(default_factory=deque)
    orders: defaultdict[int, deque[Simulated]] = field(default_factory=lambda: defaultdict(deque))
    deliveries: list[Simulated] = field(default_factory=list)
    arrivals: list[tuple[int, Simulated]] = field(default_factory=list)
    attempts_in_outage: int = 0
    full_at_ms: float = 0.0
    is_looking: bool = False
    looks: int = 0

    def run(self, events: int) -> None:
        """Let so many events happen, and go on until nothing is left to do."""
        rng = random.Random(self.seed)
        for number in range(events):
            made = Simulated(number=number, group=rng.randrange(GROUPS))
            self.deliveries.append(made)
            self._at(number * EVENTS_EVERY_MS, "happens", made)
        while self.agenda:
            now_ms, _, what, each = heapq.heappop(self.agenda)
            if each is None:
                self._look(now_ms, rng)
            elif what == "happens" and self.is_ordered:
                self.orders[each.group].append(each)
                if self.orders[each.group][0] is each:
                    self._take(each, now_ms, rng, has_waited=True)
            else:
                self._take(each, now_ms, rng, has_waited=what != "happens")

    def _at(self, moment_ms: int, what: str, each: Simulated | None) -> None:
        self.looks += 1
        heapq.heappush(self.agenda, (moment_ms, self.looks, what, each))

    def _take(self, each: Simulated, now_ms: int, rng: random.Random, *, has_waited: bool) -> None:
        passage = gate(self.health, now_ms)
        assert passage.passage is not Passage.REFUSED
        until_ms = passage.until_unix_ms
        if passage.passage is Passage.FREE and has_waited:
            until_ms = self._turn_at(now_ms)
        if until_ms > now_ms:
            self.backlog.append(each)
            self._look_at(until_ms)
            return
        if passage.passage is Passage.PROBE:
            self.health = probing(self.health, now_ms, longest_ms=20_000)
        self._attempt(each, now_ms, rng)

    def _turn_at(self, now_ms: int) -> int:
        """Take a turn of the receiver's bucket, as take_turns.lua does; give when there is one."""
        per_s = catch_up_per_s(self.health, now_ms, most_per_s=MOST_PER_S)
        if math.isinf(per_s):
            return now_ms
        each_ms, burst = 1000 / per_s, max(1, int(per_s))
        full_ms = min(max(self.full_at_ms, now_ms), now_ms + each_ms * burst)
        wait_ms = full_ms + each_ms - now_ms - each_ms * burst
        if wait_ms > 1e-6:
            return now_ms + math.ceil(wait_ms)
        self.full_at_ms = full_ms + each_ms
        return now_ms

    def _attempt(self, each: Simulated, now_ms: int, rng: random.Random) -> None:
        each.attempts += 1
        if now_ms >= self.ends_ms:
            self.health = after_success(self.health, now_ms)
            each.state = verdict(Answer(status=204, elapsed_ms=1), SCHEDULE, attempt=each.attempts)
            self.arrivals.append((now_ms, each))
            self._go_on(each, now_ms, rng)
            return
        self.attempts_in_outage += 1
        self.health = after_failure(self.health, now_ms, randomness=rng.random())
        assert not is_hopeless(self.health, now_ms)
        fault = Fault(kind=FaultKind.CONNECT, detail="", elapsed_ms=1)
        each.state = verdict(fault, SCHEDULE, attempt=each.attempts)
        if each.state is Verdict.RETRY:
            delay_s = wait_s(SCHEDULE, attempt=each.attempts, randomness=rng.random())
            self._at(now_ms + int(delay_s * 1000), "due", each)
        else:
            self._go_on(each, now_ms, rng)

    def _go_on(self, each: Simulated, now_ms: int, rng: random.Random) -> None:
        if self.is_ordered:
            waiting = self.orders[each.group]
            assert waiting.popleft() is each
            if waiting:
                # An attempt takes its time, and the next one is claimed after it.
                self._at(now_ms + 5, "next", waiting[0])

    def _look(self, now_ms: int, rng: random.Random) -> None:
        share = portion(self.health, now_ms, room=64, most_per_s=MOST_PER_S)
        for _ in range(min(share.count, len(self.backlog))):
            self._take(self.backlog.popleft(), now_ms, rng, has_waited=True)
        self.is_looking = False
        if self.backlog:
            self._look_at(max(share.next_unix_ms, now_ms + 1))

    def _look_at(self, moment_ms: int) -> None:
        """Look at the backlog at a moment, of which there is one."""
        if not self.is_looking:
            self.is_looking = True
            self._at(moment_ms, "look", None)


@pytest.mark.parametrize("seed", range(3))
def test_an_outage_of_three_days_loses_nothing_and_ends_gently(seed: int) -> None:
    """All 13,000 events arrive, at a bounded rate, and the receiver was hardly asked meanwhile."""
    outage = Outage(seed=seed, is_ordered=False)

    outage.run(events=OUTAGE_MS // EVENTS_EVERY_MS + 100)

    assert Counter(each.state for each in outage.deliveries) == {
        Verdict.DELIVERED: len(outage.deliveries)
    }
    per_s = Counter(at_ms // 1000 for at_ms, _ in outage.arrivals)
    # A bucket lets a second's worth go at once, and what is new does not wait.
    assert max(per_s.values()) <= 2 * MOST_PER_S + 1
    first_s = [per_s[outage.arrivals[0][0] // 1000 + s] for s in range(10)]
    assert max(first_s) <= 2 * 4 + 1
    assert max(each.attempts for each in outage.deliveries) <= SCHEDULE.max_attempts
    # A probe every five minutes, not thirteen thousand schedules.
    assert outage.attempts_in_outage < 72 * 12 + 20
    recovered_ms = outage.arrivals[0][0]
    assert recovered_ms - outage.ends_ms < 6 * 60_000 * 1.2


@pytest.mark.parametrize("seed", range(3))
def test_an_order_is_kept_over_an_outage(seed: int) -> None:
    """Each group's events arrive one after the other in the order in which they happened."""
    outage = Outage(seed=seed, is_ordered=True)

    outage.run(events=OUTAGE_MS // EVENTS_EVERY_MS + 100)

    assert {each.state for each in outage.deliveries} == {Verdict.DELIVERED}
    per_s = Counter(at_ms // 1000 for at_ms, _ in outage.arrivals)
    assert max(per_s.values()) <= 2 * MOST_PER_S
    for group in range(GROUPS):
        numbers = [each.number for _, each in outage.arrivals if each.group == group]
        assert numbers == sorted(numbers)
        assert len(numbers) == sum(each.group == group for each in outage.deliveries)
