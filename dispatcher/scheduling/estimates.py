"""What a model costs the device and how often its jobs come, learnt from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

#: The share of a new measurement in the estimate.
LEARNING_RATE = 0.2
#: A measurement counts as at most this many times more, or less, than was expected: one stall
#: cannot spoil the estimate, a lasting change still gets through in a few batches.
OUTLIER_FACTOR = 2.0
#: The batch size at which a surprise is put down to the fixed and the per-item part alike.
PIVOT_SIZE = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """A load takes *load_ms*; a batch takes ``fixed_ms + per_item_ms * size``.

    *gear_ms* is what batches of the sizes that the file computes were seen to take: where it knows
    a size, that counts.
    """

    load_ms: float
    fixed_ms: float
    per_item_ms: float
    gear_ms: Mapping[float, float] = field(default_factory=dict)

    def run_ms(self, size: float) -> float:
        """How long a batch of *size* keeps the device."""
        known_ms = self.gear_ms.get(size)
        return self.fixed_ms + self.per_item_ms * size if known_ms is None else known_ms

    def linear_ms(self, size: float) -> float:
        """How long it would by the two parts alone."""
        return self.fixed_ms + self.per_item_ms * size


def learn(cost: ModelCost, batch_size: float, measured_ms: float) -> ModelCost:
    """Return the estimate after a batch that took *measured_ms*.

    *batch_size* is what the device computed: padded to the gear, times the group's item weight.
    A normalised least-mean-squares step: the surprise is shared between the two parts in
    proportion to what each contributes at this size, so batches of different sizes separate them.
    """
    expected_ms = cost.linear_ms(batch_size)
    believed_ms = _believable(expected_ms, measured_ms)
    share = batch_size / PIVOT_SIZE
    step_ms = LEARNING_RATE * (believed_ms - expected_ms) / (1.0 + share * share)
    per_item_ms = max(0.0, cost.per_item_ms + step_ms * share / PIVOT_SIZE)
    # Neither part may go below zero: what one cannot take back, the other gives.
    fixed_ms = max(0.0, cost.fixed_ms + step_ms)
    return replace(cost, fixed_ms=fixed_ms, per_item_ms=per_item_ms)


def learn_gear(cost: ModelCost, gear: float, measured_ms: float) -> ModelCost:
    """Return the estimate after a batch of a *gear*, a size that the file computes."""
    usual_ms = cost.gear_ms.get(gear)
    if usual_ms is None:
        now_ms = measured_ms
    else:
        believed_ms = _believable(usual_ms, measured_ms)
        now_ms = usual_ms + LEARNING_RATE * (believed_ms - usual_ms)
    return replace(cost, gear_ms={**cost.gear_ms, gear: now_ms})


def learn_load(cost: ModelCost, measured_ms: float) -> ModelCost:
    """Return the estimate after a load that took *measured_ms*."""
    believed_ms = _believable(cost.load_ms, measured_ms)
    return replace(cost, load_ms=cost.load_ms + LEARNING_RATE * (believed_ms - cost.load_ms))


def _believable(expected_ms: float, measured_ms: float) -> float:
    if expected_ms <= 0.0:
        return measured_ms
    return min(max(measured_ms, expected_ms / OUTLIER_FACTOR), expected_ms * OUTLIER_FACTOR)


def learn_gap(usual_ms: float | None, gap_ms: float) -> float:
    """Return the usual time between two arrivals after one *gap_ms* behind the last.

    Jobs come in bursts, and what matters is the gap within one: a pause counts as a surprise.
    """
    if usual_ms is None:
        return gap_ms
    believed_ms = min(gap_ms, max(usual_ms, 1.0) * OUTLIER_FACTOR)
    return usual_ms + LEARNING_RATE * (believed_ms - usual_ms)
