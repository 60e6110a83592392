"""What the operator can set for the dispatcher."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.device.settings import DeviceSettings
from dispatcher.models.settings import LifecycleSettings
from pipeline.data_folders import DataFolders
from pipeline.settings import ServiceSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherSettings(DataFolders):
    """The dispatcher's settings."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    device: DeviceSettings = field(default_factory=DeviceSettings)
    models_dir: Path = setting("GW_MODELS_DIR", Path("gwproc"), "The folder of the models.")
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    runtime: str = setting(
        "GW_RUNTIME",
        "onnx",
        "What executes the models; a model whose card asks for another is refused.",
    )
    device_memory_mb: int = setting(
        "GW_DEVICE_MEMORY_MB",
        2048,
        "How much memory of the device the loaded models may take together.",
        at_least=1,
    )
    shared_memory_mb: int = setting(
        "GW_SHARED_MEMORY_MB",
        256,
        "Memory for decoded pictures and model outputs on their way; it bounds how far decoding "
        "runs ahead.",
        at_least=16,
    )
    device_threads: int = setting(
        "GW_DEVICE_THREADS",
        lambda: os.cpu_count() or 1,
        "Threads that the CPU runtime computes with.",
        at_least=1,
        at_most=256,
        shown_default="the number of cores",
    )
    decode_threads: int = setting(
        "GW_DECODE_THREADS",
        lambda: os.cpu_count() or 1,
        "Threads that decode pictures and reduce outputs.",
        at_least=1,
        at_most=256,
        shown_default="the number of cores",
    )
    picture_max_pixels: int = setting(
        "GW_PICTURE_MAX_PIXELS",
        50_000_000,
        "The largest picture that is decoded, in pixels.",
        at_least=1,
    )
    outputs_retention_s: int = setting(
        "GW_OUTPUTS_RETENTION_S",
        600,
        "How long a model's raw outputs are kept for whoever asked for them.",
        at_least=10,
        at_most=86_400,
    )
    infer_timeout_s: float = setting(
        "GW_INFER_TIMEOUT_S",
        30.0,
        "A batch that takes longer has hung: the device process is started anew.",
        at_least=0.1,
        at_most=3600,
    )
    load_timeout_s: float = setting(
        "GW_LOAD_TIMEOUT_S",
        300.0,
        "A model that takes longer to load has hung. Large OM files take a minute and more.",
        at_least=1,
        at_most=3600,
    )
    lease_s: float = setting(
        "GW_DISPATCHER_LEASE_S",
        15.0,
        "After this long without renewal another dispatcher takes over a claimed job.",
        at_least=1,
        at_most=600,
    )
    claim_ahead: int = setting(
        "GW_CLAIM_AHEAD",
        4,
        "How many full batches of one model and priority are claimed ahead of the device.",
        at_least=1,
        at_most=64,
    )
