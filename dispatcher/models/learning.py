"""What was learnt about models on this kind of device, kept over restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from dispatcher.models.shelf import ShelvedModel
from dispatcher.scheduling.estimates import ModelCost
from dispatcher.scheduling.occupancy import Occupancy
from pipeline.clock import Clock
from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.learned_costs import CostBook, LearnedCost, cost_key

log = logging.getLogger(__name__)

_WRITE_INTERVAL_S = 60.0
#: A verdict is written as soon as this: a kill must not bring a bad version back.
_LOOK_INTERVAL_S = 0.5
#: A cost that moved by less is not worth a write.
_NEWS_SHARE = 0.05
#: So many sizes of a file are kept.
_GEARS_MAX = 32


class Learned:
    """The costs that are known of before, and what became of models here. *chip* is the device's.

    *runtime* and *chip* are part of the name that costs go by: they say nothing of another device.
    """

    def __init__(self, *, runtime: str, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self.chip = ""
        self._known: dict[str, LearnedCost] = {}
        self._changed: set[str] = set()
        self._is_urgent = False

    async def read(self, book: CostBook) -> None:
        """Read what is known; without Redis everything is learnt anew."""
        try:
            self._known = await book.read()
        except Unavailable as exc:
            log.warning("costs.unread", extra={"reason": str(exc)})

    def cost_of(self, model: ShelvedModel) -> ModelCost | None:
        """Give what a model cost before; None where that was never measured."""
        known = self._known.get(self._key(model))
        if known is None or not (known.fixed_ms or known.per_item_ms):
            return None
        return ModelCost(
            load_ms=known.load_ms,
            fixed_ms=known.fixed_ms,
            per_item_ms=known.per_item_ms,
            gear_ms=dict(known.gear_ms),
        )

    def has_passed(self, model: ShelvedModel, test_sha256: str) -> bool:
        """Whether the model has passed this very self-test here before."""
        known = self._known.get(self._key(model))
        return known is not None and known.self_test == self._test_of(model, test_sha256)

    def note_passed(self, model: ShelvedModel, test_sha256: str) -> None:
        """Remember that the model has passed its self-test."""
        self._note(model, self_test=self._test_of(model, test_sha256))

    def condemned(self, model: ShelvedModel) -> str:
        """Give why the model was rolled back, with the card that it has; empty if it was not."""
        known = self._known.get(self._key(model))
        if known is None or known.condemned_settings != model.card.settings_sha256:
            return ""
        return known.condemned

    def condemn(self, model: ShelvedModel, reason: str) -> None:
        """Remember why the model was rolled back, or forget it where *reason* is empty."""
        if reason or self.condemned(model):
            settings = model.card.settings_sha256 if reason else ""
            self._note(model, condemned=reason, condemned_settings=settings)
            self._is_urgent = True

    def gather(self, occupancy: Occupancy) -> None:
        """Take what the device's use has taught."""
        for key, model in occupancy.models.items():
            learnt = occupancy.cost(key)
            if occupancy.has_measured(key) and self._is_news(model, learnt):
                self._note(
                    model,
                    load_ms=round(learnt.load_ms, 3),
                    fixed_ms=round(learnt.fixed_ms, 4),
                    per_item_ms=round(learnt.per_item_ms, 4),
                    gear_ms=tuple(sorted(learnt.gear_ms.items()))[:_GEARS_MAX],
                )

    async def write(self, book: CostBook) -> None:
        """Write what has changed; raises Unavailable, and then it is still to be written."""
        changed = set(self._changed)
        await book.write({key: self._known[key] for key in changed})
        self._changed -= changed

    async def keep_written(self, book: CostBook, occupancy: Occupancy, stop: asyncio.Event) -> None:
        """Write now and then what was learnt, and once more at the end."""
        stopped, due_ms = False, self._clock.monotonic_ms() + _WRITE_INTERVAL_S * 1000
        while not stopped:
            stopped = await sleep_or_stop(stop, _LOOK_INTERVAL_S)
            now_ms = self._clock.monotonic_ms()
            if not (stopped or self._is_urgent or now_ms >= due_ms):
                continue
            self._is_urgent, due_ms = False, now_ms + _WRITE_INTERVAL_S * 1000
            self.gather(occupancy)
            try:
                await self.write(book)
            except Unavailable as exc:
                log.warning("costs.unwritten", extra={"reason": str(exc)})

    def _is_news(self, model: ShelvedModel, learnt: ModelCost) -> bool:
        known = self.cost_of(model)
        if known is None or learnt.gear_ms.keys() != known.gear_ms.keys():
            return True
        largest = float(model.limits.largest)
        pairs = [
            (learnt.load_ms, known.load_ms),
            (learnt.linear_ms(1.0), known.linear_ms(1.0)),
            (learnt.linear_ms(largest), known.linear_ms(largest)),
            *((ms, known.gear_ms[gear]) for gear, ms in learnt.gear_ms.items()),
        ]
        return any(abs(now - before) > _NEWS_SHARE * before for now, before in pairs)

    def _note(self, model: ShelvedModel, **changes: object) -> None:
        key = self._key(model)
        before = self._known.get(key) or LearnedCost(load_ms=0.0, fixed_ms=0.0, per_item_ms=0.0)
        facts: Mapping[str, object] = {**changes, "measured_unix_ms": self._clock.unix_ms()}
        self._known[key] = replace(before, **facts)  # type: ignore[arg-type]  # by its own names
        self._changed.add(key)

    def _key(self, model: ShelvedModel) -> str:
        sha256 = model.version.file_sha256
        return cost_key(file_sha256=sha256, runtime=self._runtime, chip=self.chip)

    def _test_of(self, model: ShelvedModel, test_sha256: str) -> str:
        # A card that changed is another model, as far as its answers go.
        return f"{test_sha256}:{model.card.settings_sha256}"
