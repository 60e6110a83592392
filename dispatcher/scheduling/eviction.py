"""Who leaves the device so that another model fits. Pure decisions."""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.scheduling.view import DeviceView, WaitingModel

#: A model with jobs keeps its place for so many times its load: loads take at most a seventh.
TENURE_LOADS = 6.0


def victims(
    model: WaitingModel, free_ms: float, models: Mapping[str, WaitingModel], device: DeviceView
) -> tuple[str, ...] | None:
    """Return who must leave for *model* to fit, least valuable first; ``None`` if they may not yet.

    Those without jobs go first, and of these who is cheap to reload for the time it was not used.
    One with something in flight may be named: it leaves when that has ended.
    """
    if model.model in device.loaded:
        return ()

    def has_jobs(name: str) -> bool:
        return name in models and models[name].has_jobs

    def may_leave(name: str) -> bool:
        load_ms = device.costs[name].load_ms
        tenure_ms = device.loaded[name].loaded_ms + (1.0 + TENURE_LOADS) * load_ms
        return not has_jobs(name) or free_ms >= tenure_ms

    def value(name: str) -> tuple[bool, bool, float]:
        idle_ms = max(1.0, free_ms - device.loaded[name].last_used_ms)
        return has_jobs(name), device.is_busy(name), device.costs[name].load_ms / idle_ms

    sizes_bytes = {name: held.memory_bytes for name, held in device.loaded.items()}
    spare_bytes = device.free_bytes - model.memory_bytes
    leaving: list[str] = []
    for name in sorted(filter(may_leave, device.loaded), key=value):
        if spare_bytes < 0:
            leaving.append(name)
            spare_bytes += sizes_bytes[name]
    # The last one may be so large that earlier ones need not go.
    for name in leaving[:-1]:
        if sizes_bytes[name] <= spare_bytes:
            leaving.remove(name)
            spare_bytes -= sizes_bytes[name]
    return tuple(leaving) if spare_bytes >= 0 else None
