"""Tenants take turns by their weights."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.scheduling.fairness import FairShare

names = st.sampled_from(["a", "b", "c", "d"])
weight_values = st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 10.0])
weightings = st.dictionaries(names, weight_values, min_size=1)


@dataclass
class Device:
    """A device that runs batches of the lowest turns of at most *depth* claimed jobs."""

    weights: Mapping[str, float]
    depth: int = 32
    batch: int = 8
    waiting: dict[str, deque[int]] = field(default_factory=dict)
    held: list[tuple[float, int, str]] = field(default_factory=list)
    share: FairShare = field(default_factory=FairShare)
    rounds: int = 0
    finished_in: dict[int, int] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)

    def submit(self, tenant: str, *jobs: int) -> None:
        """Let jobs of a tenant wait."""
        self.waiting.setdefault(tenant, deque()).extend(jobs)

    def run_one_round(self) -> None:
        """Claim up to the depth, then run a batch."""
        now = self.share.now(turn for turn, _, _ in self.held)
        while len(self.held) < self.depth:
            open_ = {name: self.weights[name] for name, jobs in self.waiting.items() if jobs}
            if not open_:
                break
            (tenant,) = self.share.order(open_, room=1, now=now)
            turn = self.share.take(tenant, weight=self.weights[tenant], now=now)
            self.held.append((turn, self.waiting[tenant].popleft(), tenant))
        self.held.sort()
        for _, job, tenant in self.held[: self.batch]:
            self.finished_in[job] = self.rounds
            self.served[tenant] += 1
        del self.held[: self.batch]
        self.rounds += 1


def test_two_tenants_share_by_weight() -> None:
    """With weights 1 and 3, and enough work of both, one job of four is the lighter tenant's."""
    device = Device(weights={"light": 1.0, "heavy": 3.0})
    device.submit("light", *range(10_000))
    device.submit("heavy", *range(10_000, 20_000))

    for _ in range(100):
        device.run_one_round()

    assert device.served["light"] == pytest.approx(200, abs=8)
    assert device.served["heavy"] == pytest.approx(600, abs=8)


@pytest.mark.parametrize(("noisy", "quiet"), [(1.0, 3.0), (1.0, 1.0), (3.0, 1.0)])
def test_a_quiet_tenant_waits_for_one_round(noisy: float, quiet: float) -> None:
    """Behind another's 10,000 jobs a single one runs in the first batch that is put together."""
    device = Device(weights={"noisy": noisy, "quiet": quiet})
    device.submit("noisy", *range(10_000))
    for _ in range(50):
        device.run_one_round()

    for job in range(20_000, 20_050):
        device.submit("quiet", job)
        arrived = device.rounds
        for _ in range(3):
            device.run_one_round()
        assert device.finished_in[job] - arrived <= 1


def test_an_idle_tenant_saves_nothing_up() -> None:
    """Who comes after a long pause shares from then on, and does not catch up."""
    device = Device(weights={"a": 1.0, "b": 1.0})
    device.submit("a", *range(10_000))
    for _ in range(500):
        device.run_one_round()
    device.submit("b", *range(10_000, 20_000))
    before = device.served["a"]

    for _ in range(100):
        device.run_one_round()

    assert device.served["a"] - before == pytest.approx(400, abs=device.depth)


def test_a_tenant_alone_gets_everything() -> None:
    """A small weight is no limit while nobody else has work."""
    assert FairShare().order({"a": 0.001}, room=5, now=7.0) == ["a"] * 5


@given(weights=weightings, room=st.integers(0, 64))
def test_every_place_is_given_away(weights: Mapping[str, float], room: int) -> None:
    """As many turns as there is room, each to somebody with work."""
    order = FairShare().order(weights, room=room, now=0.0)

    assert len(order) == room
    assert set(order) <= weights.keys()


@given(weights=weightings, rounds=st.integers(1, 200))
def test_no_tenant_gets_ahead_of_another(weights: Mapping[str, float], rounds: int) -> None:
    """Of tenants that always have work none is served, by weight, a whole job more than another.

    The bound of start-time fair queueing: the difference is at most one over each weight.
    """
    share = FairShare()
    served: Counter[str] = Counter()
    newest = 0.0
    for _ in range(rounds):
        (tenant,) = share.order(weights, room=1, now=newest)
        newest = share.take(tenant, weight=weights[tenant], now=newest)
        served[tenant] += 1

    for one in weights:
        for other in weights:
            apart = abs(served[one] / weights[one] - served[other] / weights[other])
            assert apart <= 1 / weights[one] + 1 / weights[other] + 1e-6


@given(
    steps=st.lists(st.tuples(names, weight_values, st.floats(0, 50)), max_size=60),
)
def test_turns_of_a_tenant_only_grow(steps: list[tuple[str, float, float]]) -> None:
    """Whatever the weights and the virtual time do, a later job's turn is not the earlier."""
    share = FairShare()
    last: dict[str, float] = {}
    now = 0.0
    for tenant, weight, step in steps:
        now += step
        share.forget_passed(now)
        turn = share.take(tenant, weight=weight, now=now)
        assert turn >= max(now, last.get(tenant, 0.0))
        last[tenant] = turn
