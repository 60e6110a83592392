"""Stocking the shelf: scan the model folder, have the device describe each file, publish."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Device
from dispatcher.models.repository import ModelVersion, Refusal, scan
from dispatcher.models.shelf import Shelf, ShelvedModel
from dispatcher.runtime import ModelDescription
from dispatcher.settings import DispatcherSettings
from pipeline.errors import GwError, Unavailable
from pipeline.following import PAUSE_S
from pipeline.lifecycle import sleep_or_stop
from pipeline.models.catalogue import Catalogue

log = logging.getLogger(__name__)

#: The catalogue is published anew this often, so that an emptied Redis is filled again.
_PUBLISH_INTERVAL_S = 60.0


async def stock(device: Device, settings: DispatcherSettings) -> Shelf:
    """Give the models that can run here, and why the others cannot. Nothing is loaded yet.

    Raises DeviceUnavailable where the device is away: that says nothing of any model.
    """
    repository = await asyncio.to_thread(scan, Path(settings.models_dir))
    models: list[ShelvedModel] = []
    refusals = list(repository.refusals)
    for versions in repository.models.values():
        for version in versions:
            described = await _describe(device, version, settings)
            if isinstance(described, ShelvedModel):
                models.append(described)
            else:
                refusals.append(described)
    for refusal in refusals:
        log.warning(
            "model.refused",
            extra={"model": refusal.model, "version": refusal.version, "reason": refusal.reason},
        )
    return Shelf(models, refusals)


async def _describe(
    device: Device, version: ModelVersion, settings: DispatcherSettings
) -> ShelvedModel | Refusal:
    card = version.card
    if card.runtime != settings.runtime and ":" not in settings.runtime:
        reason = f"its runtime is {card.runtime}; this dispatcher runs {settings.runtime}"
        return Refusal(model=card.name, version=version.version, reason=reason)
    try:
        description = await _ask(device, version, settings.load_timeout_s)
    except Unavailable:
        raise
    except GwError as exc:
        return Refusal(model=card.name, version=version.version, reason=str(exc))
    budget_bytes = settings.device_memory_mb * 1_000_000
    if description.memory_bytes > budget_bytes:
        reason = f"it needs {description.memory_bytes} bytes; GW_DEVICE_MEMORY_MB gives less"
        return Refusal(model=card.name, version=version.version, reason=reason)
    return ShelvedModel(version=version, description=description, rules_sha256=card.rules.sha256())


async def _ask(device: Device, version: ModelVersion, timeout_s: float) -> ModelDescription:
    """Have the device describe a file, once more if it is lost: somebody may have killed it."""
    try:
        return await device.describe(version.card, version.path, timeout_s=timeout_s)
    except DeviceLost:
        return await device.describe(version.card, version.path, timeout_s=timeout_s)


async def keep_published(catalogue: Catalogue, shelf: Shelf, stop: asyncio.Event) -> None:
    """Publish the catalogue now and again, until *stop* is set."""
    rules = {model.rules_sha256: model.card.rules for model in shelf.models.values()}
    while not stop.is_set():
        try:
            await catalogue.publish(shelf.entries(), list(rules.values()))
        except Unavailable as exc:
            log.warning("catalogue.unpublished", extra={"reason": str(exc)})
            await sleep_or_stop(stop, PAUSE_S)
        else:
            await sleep_or_stop(stop, _PUBLISH_INTERVAL_S)
