"""The models that this dispatcher can run: which versions are offered, and who runs a job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dispatcher.cards.card import ModelCard, ResizeMode, VersionsSpec
from dispatcher.models.probation import Probation
from dispatcher.models.repository import ModelVersion, Refusal
from dispatcher.runtime import ModelDescription
from dispatcher.scheduling.view import BatchLimits
from pipeline.jobs.job import Job


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShelvedModel:
    """One usable version of a model, with what the device said of its file."""

    version: ModelVersion
    description: ModelDescription
    rules_sha256: str
    self_test: str = ""

    @property
    def key(self) -> str:
        """Give the name that device and scheduler use: ``name/version``."""
        return self.version.key

    @property
    def card(self) -> ModelCard:
        """Give the model's card."""
        return self.version.card

    @property
    def memory_bytes(self) -> int:
        """Give what the model takes on the device when loaded."""
        return self.description.memory_bytes

    @property
    def limits(self) -> BatchLimits:
        """Give the bounds of its batches."""
        return BatchLimits(
            max_size=self.card.batching.max_size,
            max_delay_ms=self.card.batching.max_delay_ms,
            gears=self.description.batch_sizes,
        )

    def item_weight(self, shape: tuple[int, ...]) -> float:
        """Give what a picture of this input *shape* costs relative to the smallest one.

        Convolutions cost in proportion to pixels. Only mode ``free`` has inputs of several sizes.
        """
        spec = self.card.input
        if spec.resize is not ResizeMode.FREE:
            return 1.0
        return math.prod(shape) / (3 * spec.min_side_px**2)


@dataclass(slots=True, kw_only=True)
class Slot:
    """The place of one version.

    *failed* says why it is not offered any more. *removed_ms* is since when its files are gone
    (monotonic), None while they are there. *before* is who comes back if it fails on *probation*:
    the generation before it, or another version.
    """

    model: ShelvedModel
    failed: str = ""
    note: str = ""
    removed_ms: float | None = None
    probation: Probation | None = None
    before: ShelvedModel | None = None


class Shelf:
    """Every usable model by name and version, and the reasons why others are not here."""

    def __init__(
        self,
        models: Iterable[ShelvedModel] = (),
        refusals: Iterable[Refusal] = (),
        *,
        versions_max: int = 1000,
    ) -> None:
        self._slots: dict[tuple[str, str], Slot] = {}
        self._refusals: dict[tuple[str, int | None], Refusal] = {}
        self._versions_max = versions_max
        #: What operators have unloaded: names, and ``name/version``.
        self.unloaded: frozenset[str] = frozenset()
        for model in models:
            self.put(model)
        for refusal in refusals:
            self.refuse(refusal)

    def put(self, model: ShelvedModel) -> Slot:
        """Put a version into its place, over what was there; give the place."""
        slot = Slot(model=model)
        self._slots[_place(model)] = slot
        self._refusals.pop((model.card.name, model.version.version), None)
        self._refusals.pop((model.card.name, None), None)
        return slot

    def refuse(self, refusal: Refusal) -> None:
        """Note why a model or a version cannot be used; what runs already goes on."""
        self._refusals[refusal.model, refusal.version] = refusal

    def forgive(self, model: str, version: int | None) -> None:
        """Forget a refusal."""
        self._refusals.pop((model, version), None)

    def take_off(self, model: str, version: str) -> None:
        """Take a version off for good."""
        self._slots.pop((model, version), None)

    def slot(self, model: str, version: str) -> Slot | None:
        """Give the place of a version."""
        return self._slots.get((model, version))

    def slots(self, name: str | None = None) -> list[Slot]:
        """Give the places of a model's versions, highest first, or those of all models."""
        found = [slot for (model, _), slot in self._slots.items() if name in (None, model)]
        return sorted(found, key=lambda slot: (slot.model.card.name, -slot.model.version.version))

    def find(self, name: str, version: str) -> ShelvedModel | None:
        """Give a version of a model that can run, offered or not; None when it is not here."""
        slot = self._slots.get((name, version))
        return slot.model if slot is not None else None

    def for_job(self, job: Job) -> ShelvedModel | None:
        """Give what runs *job*: the version that it was accepted for, while that may be.

        A job whose submitter named no version goes to the default where its own has failed or is
        gone; one that is pinned is run by a failed or removed version as long as that is here.
        """
        slot = self._slots.get((job.model, job.version))
        if job.pinned or (slot is not None and not slot.failed and slot.removed_ms is None):
            return slot.model if slot is not None else None
        default = self.default(job.model)
        if default is not None:
            return default
        return slot.model if slot is not None else None

    def instead(self, model: ShelvedModel) -> ShelvedModel | None:
        """Give who runs a job again that *model* failed: only where *model* is on trial, or failed.

        None where there is nobody else, or the failure stands.
        """
        slot = self._slots.get(_place(model))
        if slot is None or (slot.model is model and slot.probation is None and not slot.failed):
            return None
        other = slot.before if slot.model is model else slot.model
        if other is None:
            other = self.default(model.card.name)
        return other if other is not model else None

    def offered(self, name: str) -> list[ShelvedModel]:
        """Give the versions that jobs are accepted for, the default first."""
        usable = [
            slot.model
            for slot in self.slots(name)
            if not slot.failed and slot.removed_ms is None and not self.is_unloaded(slot.model)
        ]
        return [model for model in usable if self._is_kept(model, usable)]

    def default(self, name: str) -> ShelvedModel | None:
        """Give the version that a job gets which names none."""
        return next(iter(self.offered(name)), None)

    def is_unloaded(self, model: ShelvedModel) -> bool:
        """Whether an operator has unloaded it."""
        name, version = _place(model)
        return name in self.unloaded or f"{name}/{version}" in self.unloaded

    @property
    def models(self) -> Mapping[str, ShelvedModel]:
        """Give all models that can run, offered or not, by key."""
        here = [slot.model for slot in self._slots.values()]
        here += [slot.before for slot in self._slots.values() if slot.before is not None]
        return {model.key: model for model in here}

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of the models that can run, in order."""
        return tuple(sorted({name for name, _ in self._slots}))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Give what cannot be used, with the reason."""
        return tuple(self._refusals.values())

    def _is_kept(self, model: ShelvedModel, usable: list[ShelvedModel]) -> bool:
        """Whether the policy of the newest card keeps *model* of *usable*, highest first."""
        policy: VersionsSpec = usable[0].card.versions
        if policy.pinned:
            return model.version.version in policy.pinned
        return model in usable[: policy.latest or self._versions_max]


def _place(model: ShelvedModel) -> tuple[str, str]:
    return model.card.name, str(model.version.version)
