"""Putting models on the device and taking them off, for the scheduler and for whoever asks."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Device
from dispatcher.models.shelf import ShelvedModel
from dispatcher.scheduling.eviction import victims
from dispatcher.scheduling.occupancy import Occupancy
from dispatcher.scheduling.view import (
    Action,
    DeviceView,
    EvictModel,
    InFlight,
    LoadModel,
    Wait,
    WaitingModel,
)
from pipeline.clock import Clock
from pipeline.errors import GwError, ModelFault, Unavailable

log = logging.getLogger(__name__)

#: A model that cannot be loaded is not tried again before this: a load may cost the device.
REFUSAL_MS = 10_000.0

#: As for pictures: what somebody killed from outside is not held against the model.
_LOSSES_TO_REFUSE = 2

#: What is done with a model that was asked for, right after its load, while it cannot be evicted.
Trial = Callable[[], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Wanted:
    """A model that somebody wants on the device, and waits for."""

    model: ShelvedModel
    trial: Trial
    done: asyncio.Future[None]


class Loader:
    """The loads and evictions of one device.

    *spawn* runs a coroutine that wakes the dispatch when it ends; *give_up* is told of a model
    whose waiting jobs nobody can run.
    """

    def __init__(
        self,
        *,
        device: Device,
        occupancy: Occupancy,
        clock: Clock,
        timeout_s: float,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        give_up: Callable[[str, ModelFault], None],
    ) -> None:
        self._device = device
        self._occupancy = occupancy
        self._clock = clock
        self._timeout_s = timeout_s
        self._spawn = spawn
        self._give_up = give_up
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._losses: Counter[str] = Counter()
        # Models that could not be loaded: until when (monotonic ms) they are not tried, and why.
        self._refusals: dict[str, tuple[float, ModelFault]] = {}
        self._wanted: list[_Wanted] = []

    @property
    def loading(self) -> Mapping[str, asyncio.Task[None]]:
        """Give the loads under way by key."""
        return self._loading

    def refusal(self, key: str) -> ModelFault | None:
        """Give why a model cannot be loaded; None when it may be tried."""
        until_ms, fault = self._refusals.get(key, (0.0, None))
        return fault if self._clock.monotonic_ms() < until_ms else None

    def forgive(self, key: str) -> None:
        """Let a model be tried again at once."""
        self._refusals.pop(key, None)

    async def want(self, model: ShelvedModel, trial: Trial, *, wake: Callable[[], None]) -> None:
        """Have *model* on the device, and *trial* run while nothing can evict it.

        Waits for room; *wake* has :meth:`step` asked. Raises what the load or the trial raises.
        """
        wanted = _Wanted(model, trial, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        wake()
        try:
            await wanted.done
        finally:
            if wanted in self._wanted:
                self._wanted.remove(wanted)

    def step(
        self, free_ms: float, waiting: Sequence[WaitingModel], device: DeviceView
    ) -> Action | None:
        """Give the next step towards what is wanted; None where the scheduler may choose.

        While room must be made of busy models, nothing else is sent: it would keep them so.
        """
        for wanted in self._wanted:
            key = wanted.model.key
            if key in self._loading:
                continue
            if len(device.in_flight) >= device.depth:
                return Wait()
            if key in device.loaded:
                return LoadModel(model=key)
            model = WaitingModel(
                model=key,
                limits=wanted.model.limits,
                memory_bytes=wanted.model.memory_bytes,
                groups=(),
            )
            leaving = victims(model, free_ms, {each.model: each for each in waiting}, device)
            if leaving is None:
                continue
            if not leaving:
                return LoadModel(model=key)
            if any(device.is_busy(each) for each in leaving):
                return Wait()
            return EvictModel(model=leaving[0])
        return None

    def start(self, key: str, now_ms: float) -> None:
        """Begin to load a model; if it is there already, only what was wanted of it is done."""
        if self._occupancy.is_loaded(key):
            command = self._occupancy.batch_sent(key, 1.0, now_ms)
            self._loading[key] = self._spawn(self._satisfy(key, command))
        else:
            command = self._occupancy.load_sent(key, now_ms)
            self._loading[key] = self._spawn(self._load(key, command, now_ms))

    def evict(self, key: str) -> None:
        """Take a model off the device, on which nothing of it may be in flight."""
        self._occupancy.dropped(key)
        self._spawn(self._unload(key))

    async def _load(self, key: str, command: InFlight, now_ms: float) -> None:
        model = self._occupancy.models[key]
        try:
            await self._device.load(model.version, timeout_s=self._timeout_s)
        except Unavailable as exc:
            log.warning("model.unloaded", extra={"model": key, "reason": str(exc)})
            self._disappoint(key, exc)
        except DeviceLost as exc:
            log.warning("model.unloaded", extra={"model": key, "reason": str(exc)})
            self._losses[key] += 1
            if self._losses[key] >= _LOSSES_TO_REFUSE:
                self._refuse(key, str(exc))
        except Exception as exc:
            self._refuse(key, str(exc))
        else:
            load_ms = self._clock.monotonic_ms() - now_ms
            self._losses.pop(key, None)
            self._occupancy.learn_load(key, load_ms)
            log.info("model.loaded", extra={"model": key, "load_ms": round(load_ms)})
            await self._try_all(key)
        finally:
            del self._loading[key]
            self._occupancy.ended(command)

    async def _satisfy(self, key: str, command: InFlight) -> None:
        """Do what was wanted of a model that is loaded."""
        try:
            await self._try_all(key)
        finally:
            del self._loading[key]
            self._occupancy.ended(command)

    async def _try_all(self, key: str) -> None:
        for wanted in [each for each in self._wanted if each.model.key == key]:
            try:
                await wanted.trial()
            except Exception as exc:  # whatever it is, it is for who wanted the trial
                _settle(wanted, exc)
            else:
                _settle(wanted, None)

    def _refuse(self, key: str, reason: str) -> None:
        """Fail the jobs that wait for a model that cannot be loaded, and those soon to come."""
        log.error("model.refused", extra={"model": key, "reason": reason})
        fault = ModelFault(f"the model cannot be loaded: {reason}")
        self._losses.pop(key, None)
        self._refusals[key] = (self._clock.monotonic_ms() + REFUSAL_MS, fault)
        self._disappoint(key, fault)
        self._give_up(key, fault)

    def _disappoint(self, key: str, error: GwError) -> None:
        for wanted in [each for each in self._wanted if each.model.key == key]:
            _settle(wanted, error)
            self._wanted.remove(wanted)

    async def _unload(self, key: str) -> None:
        try:
            await self._device.unload(key, timeout_s=self._timeout_s)
            log.info("model.evicted", extra={"model": key})
        except GwError as exc:
            log.warning("model.unevicted", extra={"model": key, "reason": str(exc)})


def _settle(wanted: _Wanted, error: Exception | None) -> None:
    if wanted.done.done():
        return
    if error is None:
        wanted.done.set_result(None)
    else:
        wanted.done.set_exception(error)
