"""The models that this dispatcher can run, described by the device they will run on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dispatcher.cards.card import ModelCard, ResizeMode
from dispatcher.models.repository import ModelVersion, Refusal
from dispatcher.runtime import ModelDescription
from dispatcher.scheduling.view import BatchLimits
from pipeline.models.catalogue import ModelEntry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShelvedModel:
    """One usable version of a model, with what the device said of its file."""

    version: ModelVersion
    description: ModelDescription
    rules_sha256: str

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


class Shelf:
    """Every usable model by name and version, and the reasons why others are not here."""

    def __init__(self, models: Iterable[ShelvedModel], refusals: Iterable[Refusal]) -> None:
        self._models: dict[tuple[str, str], ShelvedModel] = {
            (model.card.name, str(model.version.version)): model for model in models
        }
        self._refusals = tuple(refusals)

    def find(self, name: str, version: str) -> ShelvedModel | None:
        """Give a version of a model, or None when it is not here."""
        return self._models.get((name, version))

    @property
    def models(self) -> Mapping[str, ShelvedModel]:
        """Give all models by key."""
        return {model.key: model for model in self._models.values()}

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of the models that can run, in order."""
        return tuple(sorted({name for name, _ in self._models}))

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Give what cannot be used, with the reason."""
        return self._refusals

    def entries(self) -> list[ModelEntry]:
        """Give the catalogue: every model that was found, usable or not."""
        refused = dict.fromkeys(refusal.model for refusal in self._refusals)
        return [self._ready_entry(name) for name in self.names] + [
            ModelEntry(name=name, reason=self._reason(name))
            for name in refused
            if name not in self.names
        ]

    def _reason(self, name: str) -> str:
        """Give why versions of the model are not here, "" if none is missing."""
        return "; ".join(
            refusal.reason
            if refusal.version is None
            else f"version {refusal.version}: {refusal.reason}"
            for refusal in self._refusals
            if refusal.model == name
        )

    def _ready_entry(self, name: str) -> ModelEntry:
        versions = sorted(
            (model for model in self._models.values() if model.card.name == name),
            key=lambda model: model.version.version,
            reverse=True,
        )
        card = versions[0].card
        return ModelEntry(
            name=name,
            task=card.task,
            description=card.description,
            runtime=card.runtime,
            versions=tuple(str(model.version.version) for model in versions),
            labels=card.rules.labels,
            reason=self._reason(name),
        )
