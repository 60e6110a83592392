"""How a version takes its place: tried beside the one that serves, then on trial, or back out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from dispatcher.device.link import Device
from dispatcher.dispatch import BatchEnd, Dispatch
from dispatcher.models import self_test
from dispatcher.models.copies import Copy
from dispatcher.models.learning import Learned
from dispatcher.models.probation import Probation, TrialLimits
from dispatcher.models.repository import Refusal
from dispatcher.models.shelf import Shelf, ShelvedModel, Slot
from dispatcher.models.stocking import Taken
from dispatcher.models.tallies import Tally
from dispatcher.settings import DispatcherSettings
from pipeline.clock import Clock
from pipeline.errors import Unavailable

log = logging.getLogger(__name__)

#: What left the shelf keeps its copy for so long: a picture may be being decoded for it.
_LINGER_MS = 60_000.0


@dataclass(slots=True, kw_only=True)
class _Left:
    """A model that left the shelf, at *since_ms* (monotonic), and still holds its copy."""

    model: ShelvedModel
    copy: Copy
    since_ms: float


class Takeover:
    """Puts versions on the shelf, takes them off, and remembers what each of them does there.

    *changed* is set whenever others are to be told.
    """

    def __init__(
        self, *, settings: DispatcherSettings, device: Device, learned: Learned, clock: Clock
    ) -> None:
        self._settings = settings
        self._device = device
        self._learned = learned
        self._clock = clock
        lifecycle = settings.lifecycle
        self._limits = TrialLimits(jobs=lifecycle.trial_jobs, failures=lifecycle.trial_failures)
        self.shelf = Shelf(versions_max=lifecycle.versions_max)
        self.changed = asyncio.Event()
        self.tallies: dict[str, Tally] = {}
        #: What is being tried now.
        self.trying: ShelvedModel | None = None
        self._copies: dict[str, tuple[ShelvedModel, Copy]] = {}
        self._left: list[_Left] = []

    def needs_trial(self, taken: Taken, *, is_hot: bool) -> bool:
        """Whether a version must show itself before it is offered.

        A self-test that was passed here before needs no repetition at a start. While the service
        runs (*is_hot*), whoever takes over from one that serves is loaded first.
        """
        test = taken.self_test
        if test is not None and not self._learned.has_passed(taken.model, test.sha256):
            return True
        return is_hot and self.shelf.default(taken.model.card.name) is not None

    def install(self, taken: Taken, *, is_hot: bool) -> None:
        """Offer a version from now on, over what was in its place."""
        model = taken.model
        if taken.self_test is not None:
            model = replace(model, self_test="passed")
        name, version = model.card.name, str(model.version.version)
        default = self.shelf.default(name)
        replaced = self.shelf.slot(name, version)
        self._copies[model.key] = (model, taken.copy)
        slot = self.shelf.put(model)
        if is_hot and self._limits.jobs:
            slot.before = self._stand_in(model, replaced, default)
            slot.probation = Probation() if slot.before is not None else None
        if is_hot:
            before = slot.before.key if slot.before is not None else ""
            log.info("model.took_over", extra={"model": model.key, "before": before})
        self._let_go()
        self.changed.set()

    def refuse(self, refusal: Refusal) -> None:
        """Note why a version cannot be used."""
        log.warning(
            "model.refused",
            extra={"model": refusal.model, "version": refusal.version, "reason": refusal.reason},
        )
        self.shelf.refuse(refusal)
        self.changed.set()

    async def try_out(self, taken: Taken, dispatch: Dispatch, threads: Executor) -> bool:
        """Load a version and have it pass its self-test, then offer it; tell whether it is.

        Raises Unavailable where the device is away: the version is to be tried again.
        """
        model, test = taken.model, taken.self_test
        self.trying = model
        self.changed.set()
        prepared: Sequence[self_test.PreparedCase] = ()
        try:
            if test is not None:
                prepared = await self_test.prepare(
                    self._device,
                    model.card,
                    test,
                    threads=threads,
                    max_pixels=self._settings.picture_max_pixels,
                )
            await dispatch.load(
                model,
                lambda: self_test.run(
                    self._device,
                    model.version,
                    prepared,
                    timeout_s=self._settings.infer_timeout_s,
                ),
            )
        except Unavailable:
            raise
        except Exception as exc:  # a version that fails in any way stays out, the one before in
            self._reject(taken, dispatch, str(exc) or type(exc).__name__)
            return False
        finally:
            self_test.release(prepared)
            self.trying = None
            self.changed.set()
        if test is not None:
            self._learned.note_passed(model, test.sha256)
        self.install(taken, is_hot=True)
        return True

    def remove(self, name: str, version: int) -> None:
        """Note that the files of a version are gone: it runs what was accepted, for a while."""
        self.shelf.forgive(name, version)
        slot = self.shelf.slot(name, str(version))
        if slot is not None and slot.removed_ms is None:
            slot.removed_ms = self._clock.monotonic_ms()
            log.info("model.removed", extra={"model": slot.model.key})
        self.changed.set()

    def note_batch(self, end: BatchEnd) -> None:
        """Count what a batch did, and end a trial that has come to its end."""
        tally = self.tallies.setdefault(end.model.key, Tally())
        tally.batches += 1
        tally.jobs += end.jobs
        tally.failures += end.failures
        tally.last_used_unix_ms = self._clock.unix_ms()
        tally.device_ms.add(end.device_ms)
        for decode_ms in end.decode_ms:
            tally.decode_ms.add(decode_ms)
        tally.add_batch(end.device_ms, end.made_by)
        slot = self.shelf.slot(end.model.card.name, str(end.model.version.version))
        if slot is None or slot.model is not end.model or slot.probation is None:
            return
        slot.probation = slot.probation.after(jobs=end.jobs, failures=end.failures, lost=end.lost)
        verdict = slot.probation.verdict(self._limits)
        if verdict:
            self._roll_back(slot, verdict)
        elif slot.probation.is_over(self._limits):
            log.info("model.stays", extra={"model": slot.model.key})
            slot.probation, slot.before = None, None
            self._let_go()

    def tidy(self, dispatch: Dispatch) -> None:
        """Take off the device, and then off the disk, what nobody needs any more."""
        now_ms = self._clock.monotonic_ms()
        grace_ms = self._settings.lifecycle.removed_grace_s * 1000
        for slot in self.shelf.slots():
            gone = slot.removed_ms is not None and now_ms - slot.removed_ms >= grace_ms
            if gone and not dispatch.holds(slot.model.key):
                self.shelf.take_off(slot.model.card.name, str(slot.model.version.version))
                self.changed.set()
        self._let_go()
        for key in self._needless():
            if dispatch.occupancy.is_loaded(key) and not dispatch.holds(key):
                dispatch.loader.evict(key)
                self.changed.set()
        for left in list(self._left):
            key = left.model.key
            if now_ms - left.since_ms >= _LINGER_MS and not dispatch.holds(key):
                left.copy.release()
                self._left.remove(left)
                self.tallies.pop(key, None)
                dispatch.occupancy.forget(key)

    def _needless(self) -> list[str]:
        """Give the keys of what takes no new jobs, and so needs no place on the device."""
        offered = {model.key for name in self.shelf.names for model in self.shelf.offered(name)}
        before = {slot.before.key for slot in self.shelf.slots() if slot.before is not None}
        here = self.shelf.models.keys() | {left.model.key for left in self._left}
        trying = {self.trying.key} if self.trying is not None else set()
        return sorted(here - offered - before - trying)

    def _stand_in(
        self, model: ShelvedModel, replaced: Slot | None, default: ShelvedModel | None
    ) -> ShelvedModel | None:
        """Give who comes back if *model* fails: who was in its place, or the default before it."""
        if replaced is not None and not replaced.failed:
            # One that is on trial itself never proved that it could.
            return replaced.before if replaced.probation is not None else replaced.model
        return default if self.shelf.default(model.card.name) is model else None

    def _reject(self, taken: Taken, dispatch: Dispatch, reason: str) -> None:
        """Keep a version out that failed before it was offered."""
        model = taken.model
        log.error("model.rejected", extra={"model": model.key, "reason": reason})
        self.refuse(
            Refusal(
                model=model.card.name,
                version=model.version.version,
                reason=f"it did not pass: {reason}",
            )
        )
        self._left.append(_Left(model=model, copy=taken.copy, since_ms=self._clock.monotonic_ms()))
        if dispatch.occupancy.is_loaded(model.key) and not dispatch.holds(model.key):
            dispatch.loader.evict(model.key)

    def _roll_back(self, slot: Slot, reason: str) -> None:
        """Bring back who served before."""
        failed, before = slot.model, slot.before
        log.error("model.rolled_back", extra={"model": failed.key, "reason": reason})
        self._learned.condemn(failed, reason)
        told = f"rolled back: {reason}"
        if before is not None and before.version.version == failed.version.version:
            again = self.shelf.put(before)
            again.note = f"its files were replaced, and the new ones {told}; the old ones serve"
        else:
            slot.failed = told
            slot.probation, slot.before = None, None
        self._let_go()
        self.changed.set()

    def _let_go(self) -> None:
        """Note whose copies nobody on the shelf stands for any more."""
        now_ms = self._clock.monotonic_ms()
        for key in self._copies.keys() - self.shelf.models.keys():
            model, copy = self._copies.pop(key)
            self._left.append(_Left(model=model, copy=copy, since_ms=now_ms))
