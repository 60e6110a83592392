"""Telling others what this dispatcher can run, and how each version is doing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from dispatcher.cards.card import RuntimeKind
from dispatcher.dispatch import Dispatch
from dispatcher.models.shelf import ShelvedModel, Slot
from dispatcher.models.takeover import Takeover
from dispatcher.models.tallies import Tally
from dispatcher.runtime import TensorSpec
from pipeline.errors import Unavailable
from pipeline.following import PAUSE_S
from pipeline.health import BEAT_INTERVAL_S
from pipeline.jobs.infer_queue import InferQueue
from pipeline.models.catalogue import Catalogue
from pipeline.models.entry import ModelEntry, VersionEntry, VersionState
from pipeline.models.tensors import TensorFacts, datatype_of

log = logging.getLogger(__name__)

#: Kinds of model files, as the Open Inference Protocol names them.
_PLATFORMS = {RuntimeKind.ONNX: "onnxruntime_onnx", RuntimeKind.ACL: "ascend_om"}


class Publisher:
    """Publishes the shelf of one dispatcher, called *instance*, with its device's state."""

    def __init__(
        self,
        *,
        takeover: Takeover,
        dispatch: Dispatch,
        catalogue: Catalogue,
        queue: InferQueue,
        instance: str,
        device_name: str,
    ) -> None:
        self._takeover = takeover
        self._dispatch = dispatch
        self._catalogue = catalogue
        self._queue = queue
        self._instance = instance
        self._device_name = device_name
        self._queued: dict[str, int] = {}

    async def keep_published(self, stop: asyncio.Event) -> None:
        """Publish now, at every change, and with every beat, until *stop* is set."""
        changed = self._takeover.changed
        while not stop.is_set():
            changed.clear()
            try:
                await self.publish()
            except Unavailable as exc:
                log.warning("catalogue.unpublished", extra={"reason": str(exc)})
                await asyncio.sleep(PAUSE_S)
            else:
                await _either(changed, stop, BEAT_INTERVAL_S)

    async def publish(self) -> None:
        """Publish what there is now; raises Unavailable."""
        names = self._takeover.shelf.names
        self._queued = {name: await self._queue.length(name) for name in names}
        entries = self.entries()
        rules = {
            model.rules_sha256: model.card.rules for model in self._takeover.shelf.models.values()
        }
        await self._catalogue.publish(entries, list(rules.values()))

    def entries(self) -> list[ModelEntry]:
        """Give every model that was found, usable or not."""
        shelf = self._takeover.shelf
        refused = dict.fromkeys(refusal.model for refusal in shelf.refusals)
        trying = self._takeover.trying
        tried = [trying.card.name] if trying is not None else []
        names = dict.fromkeys([*shelf.names, *refused, *tried])
        return [self._entry(name) for name in names]

    def _entry(self, name: str) -> ModelEntry:
        shelf = self._takeover.shelf
        offered = shelf.offered(name)
        details = list(self._details(name))
        if offered:
            card = offered[0].card
        else:
            slots = shelf.slots(name)
            if not slots:
                return ModelEntry(name=name, reason=self._reason(name), details=tuple(details))
            card = slots[0].model.card
        return ModelEntry(
            name=name,
            task=card.task,
            description=card.description,
            runtime=card.runtime,
            versions=tuple(str(model.version.version) for model in offered),
            labels=card.rules.labels,
            reason=self._reason(name),
            queued=self._queued.get(name, 0),
            details=tuple(details),
        )

    def _reason(self, name: str) -> str:
        """Give why versions of the model are not offered, "" if none is missing."""
        shelf = self._takeover.shelf
        reasons = [
            refusal.reason
            if refusal.version is None
            else f"version {refusal.version}: {refusal.reason}"
            for refusal in shelf.refusals
            if refusal.model == name
        ]
        for slot in shelf.slots(name):
            version = slot.model.version.version
            if slot.failed or slot.note:
                reasons.append(f"version {version}: {slot.failed or slot.note}")
        if not shelf.offered(name) and any(
            shelf.is_unloaded(slot.model) for slot in shelf.slots(name)
        ):
            reasons.append("it is unloaded; load it to have jobs accepted")
        return "; ".join(reasons)

    def _details(self, name: str) -> Iterable[VersionEntry]:
        shelf = self._takeover.shelf
        offered = shelf.offered(name)
        here = set()
        for slot in shelf.slots(name):
            here.add(slot.model.version.version)
            yield self._detail(slot, is_offered=slot.model in offered)
        trying = self._takeover.trying
        if trying is not None and trying.card.name == name:
            if trying.version.version not in here:
                yield self._version_entry(trying, VersionState.LOADING, "it is being tried")
            here.add(trying.version.version)
        for refusal in shelf.refusals:
            if refusal.model == name and refusal.version not in {None, *here}:
                yield VersionEntry(
                    version=str(refusal.version),
                    state=VersionState.FAILED,
                    reason=refusal.reason,
                    instance=self._instance,
                    device=self._device_name,
                )

    def _detail(self, slot: Slot, *, is_offered: bool) -> VersionEntry:
        shelf, key = self._takeover.shelf, slot.model.key
        refusal = self._dispatch.loader.refusal(key)
        on_device = self._on_device(key)
        note = slot.note or next(
            (
                f"its files now: {each.reason}"
                for each in shelf.refusals
                if (each.model, each.version) == (slot.model.card.name, slot.model.version.version)
            ),
            "",
        )
        if slot.failed:
            state, reason = VersionState.FAILED, slot.failed
        elif slot.removed_ms is not None:
            state, reason = VersionState.RETIRED, "its files were removed"
        elif shelf.is_unloaded(slot.model):
            is_off = on_device is VersionState.AVAILABLE and not self._dispatch.holds(key)
            state = VersionState.AVAILABLE if is_off else VersionState.UNLOADING
            reason = "unloaded by an operator"
        elif not is_offered:
            state, reason = VersionState.RETIRED, "not among the versions that the model keeps"
        elif refusal is not None:
            state, reason = VersionState.FAILED, str(refusal)
        else:
            trial = "on trial" if slot.probation is not None else ""
            state, reason = on_device, "; ".join(filter(None, (note, trial)))
        return self._version_entry(slot.model, state, reason)

    def _on_device(self, key: str) -> VersionState:
        if key in self._dispatch.loader.loading:
            return VersionState.LOADING
        is_loaded = self._dispatch.occupancy.is_loaded(key)
        return VersionState.LOADED if is_loaded else VersionState.AVAILABLE

    def _version_entry(self, model: ShelvedModel, state: VersionState, reason: str) -> VersionEntry:
        tally = self._takeover.tallies.get(model.key, Tally())
        return VersionEntry(
            version=str(model.version.version),
            state=state,
            reason=reason,
            instance=self._instance,
            device=self._device_name,
            generation=model.version.generation,
            memory_bytes=model.memory_bytes,
            file_sha256=model.version.file_sha256,
            self_test=model.self_test,
            platform=_PLATFORMS.get(model.card.runtime, model.card.runtime),
            inputs=tuple(_facts(each) for each in model.description.inputs),
            outputs=tuple(_facts(each) for each in model.description.outputs),
            batch_max=model.limits.largest,
            batch_delay_ms=model.limits.max_delay_ms,
            statistics=tally.statistics(),
        )


def _facts(spec: TensorSpec) -> TensorFacts:
    # The batch axis is the platform's: batches are split and padded as the file needs them.
    shape = (-1, *spec.shape[1:])
    return TensorFacts(
        name=spec.name, datatype=datatype_of(spec.dtype) or spec.dtype.upper(), shape=shape
    )


async def _either(one: asyncio.Event, other: asyncio.Event, timeout_s: float) -> None:
    """Wait until one of two events is set, or the time is over."""
    waiting = [asyncio.create_task(each.wait()) for each in (one, other)]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
