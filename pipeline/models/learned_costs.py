"""What models cost on devices, remembered over restarts: one JSON each, written seldom."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from redis.asyncio import Redis

from pipeline.connection import load_script, redis_errors
from pipeline.documents import from_document
from pipeline.protocol import Keyspace

#: So many are kept; the ones measured longest ago go first.
COSTS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedCost:
    """What one model file costs on one kind of device with one runtime, in milliseconds.

    *gear_ms* are pairs of a batch size that the file computes and what such a batch takes.
    *self_test* is the sha256 of the self-test that it passed there, "" for none. *condemned* says
    why it was rolled back, with the settings whose sha256 is *condemned_settings*.
    """

    load_ms: float
    fixed_ms: float
    per_item_ms: float
    gear_ms: tuple[tuple[float, float], ...] = ()
    self_test: str = ""
    condemned: str = ""
    condemned_settings: str = ""
    measured_unix_ms: int = 0


class CostBook:
    """Costs in Redis. Every method raises Unavailable while Redis is away."""

    def __init__(self, redis: Redis, keys: Keyspace) -> None:
        self._redis = redis
        self._hash = keys.model_costs
        self._keep = load_script(redis, "keep_model_costs")

    async def read(self) -> dict[str, LearnedCost]:
        """Give all that is known, by what :func:`cost_key` made; what cannot be read is left out.

        An estimate is only a beginning: one that is lost is learnt again.
        """
        with redis_errors():
            texts = cast(dict[str, str], await self._redis.hgetall(self._hash))
        read = {key: _parse(text) for key, text in texts.items()}
        return {key: cost for key, cost in read.items() if cost is not None}

    async def write(self, costs: Mapping[str, LearnedCost]) -> None:
        """Write *costs* over what was known of them."""
        if not costs:
            return
        flat: Sequence[str] = [
            item
            for key, cost in costs.items()
            for item in (key, json.dumps(asdict(cost), separators=(",", ":")))
        ]
        with redis_errors():
            await self._keep(keys=[self._hash], args=[COSTS_MAX, *flat])


def cost_key(*, file_sha256: str, runtime: str, chip: str) -> str:
    """Give the name under which the costs of a file are kept."""
    return f"{file_sha256}:{runtime}:{chip}"


def _parse(text: str) -> LearnedCost | None:
    try:
        cost = from_document(LearnedCost, json.loads(text))
        pairs = tuple((float(size), float(ms)) for size, ms in cost.gear_ms)
        numbers = (cost.load_ms, cost.fixed_ms, cost.per_item_ms, *(ms for _, ms in pairs))
        if not all(0.0 <= number < 1e9 for number in numbers):
            return None
        return LearnedCost(
            load_ms=float(cost.load_ms),
            fixed_ms=float(cost.fixed_ms),
            per_item_ms=float(cost.per_item_ms),
            gear_ms=pairs,
            self_test=str(cost.self_test),
            condemned=str(cost.condemned),
            condemned_settings=str(cost.condemned_settings),
            measured_unix_ms=int(cost.measured_unix_ms),
        )
    except (AttributeError, TypeError, ValueError):
        return None
