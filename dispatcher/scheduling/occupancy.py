"""What the device holds and is doing, as far as its supervisor knows; what models cost on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from dispatcher.models.shelf import ShelvedModel
from dispatcher.scheduling.estimates import ModelCost, learn, learn_gear, learn_load
from dispatcher.scheduling.view import DeviceView, InFlight, LoadedModel

#: Before the first measurement: a load by the file's size, a batch by a guess that is soon mended.
_LOAD_MS_PER_MB = 10.0
_FIRST_FIXED_MS = 5.0
_FIRST_ITEM_MS = 10.0


class Occupancy:
    """The device's state, kept by what is sent to it and what comes back."""

    def __init__(self, *, budget_bytes: int) -> None:
        self._models: dict[str, ShelvedModel] = {}
        self._budget_bytes = budget_bytes
        self._loaded: dict[str, LoadedModel] = {}
        self._in_flight: list[InFlight] = []
        self._costs: dict[str, ModelCost] = {}
        self._measured: set[str] = set()

    def admit(self, model: ShelvedModel, cost: ModelCost | None = None) -> None:
        """Know a model from now on, with what it is known to *cost*; the first time counts."""
        if model.key not in self._models:
            self._models[model.key] = model
            self._costs[model.key] = cost or ModelCost(
                load_ms=model.version.file_bytes / 1e6 * _LOAD_MS_PER_MB,
                fixed_ms=_FIRST_FIXED_MS,
                per_item_ms=_FIRST_ITEM_MS,
            )

    def forget(self, key: str) -> None:
        """Know a model no longer: nothing of it waits, runs or is loaded."""
        self._models.pop(key, None)
        self._costs.pop(key, None)
        self._measured.discard(key)

    @property
    def models(self) -> Mapping[str, ShelvedModel]:
        """Give the models that are known, by key."""
        return self._models

    def cost(self, key: str) -> ModelCost:
        """Give what a known model costs."""
        return self._costs[key]

    def has_measured(self, key: str) -> bool:
        """Whether a batch of the model was measured here."""
        return key in self._measured

    def view(self) -> DeviceView:
        """Give what the scheduler decides by."""
        return DeviceView(
            loaded=dict(self._loaded),
            budget_bytes=self._budget_bytes,
            in_flight=tuple(self._in_flight),
            costs=self._costs,
        )

    def is_loaded(self, key: str) -> bool:
        """Whether a model is on the device, or on its way to it."""
        return key in self._loaded

    def is_busy(self, key: str) -> bool:
        """Whether a model has a batch or its load in flight."""
        return any(command.model == key for command in self._in_flight)

    def load_sent(self, key: str, now_ms: float) -> InFlight:
        """Note that a load was sent; it counts as loaded from now on."""
        self._loaded[key] = LoadedModel(
            memory_bytes=self._models[key].memory_bytes, loaded_ms=now_ms, last_used_ms=now_ms
        )
        return self._sent(key, now_ms, self._costs[key].load_ms)

    def batch_sent(self, key: str, weight: float, now_ms: float) -> InFlight:
        """Note that a batch of this *weight* (size times item weight) was sent."""
        self._loaded[key] = replace(self._loaded[key], last_used_ms=now_ms)
        return self._sent(key, now_ms, self._costs[key].run_ms(weight))

    def ended(self, command: InFlight) -> None:
        """Note that a command is through, one way or the other."""
        self._in_flight.remove(command)

    def dropped(self, key: str) -> None:
        """Note that a model is not on the device any more."""
        self._loaded.pop(key, None)

    def keep_only(self, keys: Collection[str]) -> None:
        """Note that of all models only *keys* are on the device, or on their way to it."""
        for key in self._loaded.keys() - set(keys):
            self.dropped(key)

    def learn_load(self, key: str, measured_ms: float) -> None:
        """Take a measured load into account."""
        self._costs[key] = learn_load(self._costs[key], measured_ms)

    def learn_batch(self, key: str, weight: float, measured_ms: float) -> None:
        """Take a measured batch into account."""
        cost = learn(self._costs[key], weight, measured_ms)
        if weight in self._models[key].limits.gears:
            cost = learn_gear(cost, weight, measured_ms)
        self._costs[key] = cost
        self._measured.add(key)

    def batch_end_ms(self, key: str, weight: float, now_ms: float) -> float:
        """Estimate when a batch would end that is sent now."""
        return self._free_ms(now_ms) + self._costs[key].run_ms(weight)

    def _sent(self, key: str, now_ms: float, duration_ms: float) -> InFlight:
        command = InFlight(model=key, ends_ms=self._free_ms(now_ms) + duration_ms)
        self._in_flight.append(command)
        return command

    def _free_ms(self, now_ms: float) -> float:
        return max([now_ms, *(command.ends_ms for command in self._in_flight)])
