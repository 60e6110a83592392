"""The models' life: the folder is watched, and what settles in it is taken, tried and offered."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from dispatcher.device.link import Device
from dispatcher.dispatch import Dispatch
from dispatcher.models.learning import Learned
from dispatcher.models.looking import Look, ModelLook, look, look_at_model
from dispatcher.models.repository import Refusal, VersionFiles
from dispatcher.models.settling import Settled, Settling
from dispatcher.models.shelf import Shelf
from dispatcher.models.stocking import Stock, Taken
from dispatcher.models.takeover import Takeover
from dispatcher.settings import DispatcherSettings
from pipeline.clock import Clock
from pipeline.connection import connect
from pipeline.errors import Unavailable
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.commands import ModelCommands
from pipeline.models.learned_costs import CostBook
from pipeline.protocol import Keyspace

log = logging.getLogger(__name__)

#: Copies that nobody holds are looked for this often.
_SWEEP_INTERVAL_S = 600.0
_TIDY_INTERVAL_S = 0.5
_HEALTH_TIMEOUT_S = 10.0

Place = tuple[str, int]


class Lifecycle:
    """Keeps the shelf of one dispatcher as the models folder has it."""

    def __init__(self, settings: DispatcherSettings, device: Device, clock: Clock) -> None:
        self._settings = settings
        self._device = device
        self._clock = clock
        self._root = Path(settings.models_dir)
        self._settling = Settling(settle_ms=settings.lifecycle.settle_s * 1000)
        self._stock = Stock(device, settings)
        self.learned = Learned(runtime=settings.runtime, clock=clock)
        self.takeover = Takeover(
            settings=settings, device=device, learned=self.learned, clock=clock
        )
        # What was acted on: how it looked, and what it was.
        self._looks: dict[Place, tuple[Look, Look]] = {}
        self._empty_looks: dict[str, Look] = {}
        self._taken: dict[Place, Taken] = {}
        # What has to show itself before it is offered, in turn.
        self._trials: list[Taken] = []
        self._is_reading = True
        # One at a time: the watch, and what operators ask for.
        self._changing = asyncio.Lock()

    @property
    def shelf(self) -> Shelf:
        """Give the shelf."""
        return self.takeover.shelf

    async def stock(self) -> Shelf:
        """Read what is known and what has settled, before the first job; nothing is loaded yet.

        Raises DeviceUnavailable where the device is away: that says nothing of any model.
        """
        service = self._settings.service
        keys = Keyspace(service.redis.prefix)
        self.learned.chip = (await self._device.health(timeout_s=_HEALTH_TIMEOUT_S)).chip
        async with connect(service.redis) as redis:
            await self.learned.read(CostBook(redis, keys))
            try:
                self.shelf.unloaded = await ModelCommands(redis, keys).unloaded()
            except Unavailable as exc:
                log.warning("commands.unread", extra={"reason": str(exc)})
        await asyncio.to_thread(self._stock.sweep)
        await self._look_around(is_hot=False)
        return self.shelf

    async def run(self, dispatch: Dispatch, threads: Executor, stop: asyncio.Event) -> None:
        """Watch the folder, and see models in and out, until *stop* is set."""
        async with asyncio.TaskGroup() as tasks:
            watching = [
                tasks.create_task(self._keep_tidy(dispatch, stop), name="tidy-models"),
                tasks.create_task(self._watch(dispatch, threads, stop), name="watch-models"),
            ]
            await stop.wait()
            for each in watching:
                each.cancel()

    async def sync(self, name: str, dispatch: Dispatch, threads: Executor, *, anew: bool) -> str:
        """Take one model as it lies there now; *anew*, even what did not change or has failed.

        Gives why a file was not taken; empty if nothing stands against it.
        """
        async with self._changing:
            if anew:
                self._forget(name)
            settled = await self._observe()
            if settled is None:
                return "the models folder cannot be read"
            unsettled = [
                version
                for version in await self._versions_of(name)
                if (name, version) not in settled.versions
            ]
            if unsettled:
                return f"the files of version {unsettled[0]} are still changing"
            await self._apply(settled, only=name, is_hot=True)
            await self._try_all(dispatch, threads)
        reasons = [each.reason for each in self.shelf.refusals if each.model == name]
        return "; ".join(reasons)

    async def _watch(self, dispatch: Dispatch, threads: Executor, stop: asyncio.Event) -> None:
        lifecycle = self._settings.lifecycle
        swept_ms = self._clock.monotonic_ms()
        while True:
            try:
                async with self._changing:
                    if lifecycle.watch == "poll":
                        await self._look_around(is_hot=True)
                    await self._try_all(dispatch, threads)
            except Unavailable as exc:
                # The device is away; the next look may do.
                log.warning("models.unwatched", extra={"reason": str(exc)})
            if await sleep_or_stop(stop, lifecycle.interval_s):
                return
            if self._clock.monotonic_ms() - swept_ms > _SWEEP_INTERVAL_S * 1000:
                swept_ms = self._clock.monotonic_ms()
                await asyncio.to_thread(self._stock.sweep)

    async def _keep_tidy(self, dispatch: Dispatch, stop: asyncio.Event) -> None:
        while not await sleep_or_stop(stop, _TIDY_INTERVAL_S):
            self.takeover.tidy(dispatch)

    async def _look_around(self, *, is_hot: bool) -> None:
        settled = await self._observe()
        if settled is not None:
            await self._apply(settled, only=None, is_hot=is_hot)

    async def _observe(self) -> Settled | None:
        """Look at the folder; None, and nothing changes, while it cannot be read."""
        try:
            models = await asyncio.to_thread(look, self._root)
        except OSError as exc:
            if self._is_reading:
                log.error("models.unreadable", extra={"reason": str(exc)})
            self._is_reading = False
            return None
        self._is_reading = True
        return self._settling.observe(
            models,
            now_ms=self._clock.monotonic_ms(),
            now_unix_ms=self._clock.unix_ms(),
        )

    async def _versions_of(self, name: str) -> Iterable[int]:
        return (await asyncio.to_thread(look_at_model, self._root / name)).versions

    async def _apply(self, settled: Settled, *, only: str | None, is_hot: bool) -> None:
        """Act on what has settled and is not as it was, of one model or of all."""
        for name, version in settled.gone:
            self._looks.pop((name, version), None)
            if only in (None, name):
                self.takeover.remove(name, version)
        for name in settled.gone_models:
            self._empty_looks.pop(name, None)
            self.shelf.forgive(name, None)
        by_name: dict[str, list[int]] = defaultdict(list)
        for (name, version), looks in settled.versions.items():
            if only in (None, name) and self._looks.get((name, version)) != looks:
                by_name[name].append(version)
        for name, files in settled.empty.items():
            if only in (None, name) and self._empty_looks.get(name) != files:
                self._empty_looks[name] = files
                by_name[name] = []
        for name, versions in sorted(by_name.items()):
            await self._take_model(name, sorted(versions), settled, is_hot=is_hot)

    async def _take_model(
        self, name: str, versions: list[int], settled: Settled, *, is_hot: bool
    ) -> None:
        found = await self._stock.find(name)
        whole = found.get(None)
        self.shelf.forgive(name, None)
        if isinstance(whole, Refusal):
            self.takeover.refuse(whole)
        for version in versions:
            each = found.get(version)
            if isinstance(each, VersionFiles):
                await self._take(each, settled.versions[name, version], is_hot=is_hot)
            else:
                self._looks[name, version] = settled.versions[name, version]
                if each is not None:
                    self.takeover.refuse(each)

    async def _take(self, files: VersionFiles, looks: tuple[Look, Look], *, is_hot: bool) -> None:
        place = files.card.name, files.version

        def is_still() -> bool:
            now: ModelLook = look_at_model(self._root / place[0])
            return (now.card, now.versions.get(place[1])) == looks

        def is_unchanged(taken: Taken) -> bool:
            before = self._taken.get(place)
            return before is not None and before.identity == taken.identity

        taken = await self._stock.take(files, is_still=is_still, unchanged=is_unchanged)
        if isinstance(taken, Refusal):
            self._looks[place] = looks
            self.takeover.refuse(taken)
        elif taken is not None:
            self._looks[place] = looks
            self._taken[place] = taken
            self._admit(taken, is_hot=is_hot)
        elif await asyncio.to_thread(is_still):
            self._looks[place] = looks
            self._welcome_back(place)

    def _admit(self, taken: Taken, *, is_hot: bool) -> None:
        name, version = taken.model.card.name, taken.model.version.version
        self._trials = [
            each
            for each in self._trials
            if (each.model.card.name, each.model.version.version) != (name, version)
        ]
        condemned = self.learned.condemned(taken.model)
        if condemned:
            reason = f"it was rolled back before: {condemned}; gw models reload tries it again"
            self.takeover.refuse(Refusal(model=name, version=version, reason=reason))
            taken.copy.release()
        elif self.takeover.needs_trial(taken, is_hot=is_hot):
            self._trials.append(taken)
        else:
            self.takeover.install(taken, is_hot=is_hot)

    def _welcome_back(self, place: Place) -> None:
        """Offer a version again whose files came back as they were, or were only touched."""
        name, version = place
        slot = self.shelf.slot(name, str(version))
        if slot is not None and slot.removed_ms is not None:
            slot.removed_ms = None
            self.takeover.changed.set()

    async def _try_all(self, dispatch: Dispatch, threads: Executor) -> None:
        """Try what waits for it, the lowest version first: the newest is the default in the end."""
        while self._trials:
            taken = min(self._trials, key=lambda each: each.model.version.version)
            # It stays in the list while the device is away.
            await self.takeover.try_out(taken, dispatch, threads)
            self._trials.remove(taken)

    def _forget(self, name: str) -> None:
        """Have a model read and tried as if it had never been seen."""
        for place in [place for place in self._looks if place[0] == name]:
            del self._looks[place]
        self._empty_looks.pop(name, None)
        for place, taken in list(self._taken.items()):
            if place[0] == name:
                self.learned.condemn(taken.model, "")
                del self._taken[place]
