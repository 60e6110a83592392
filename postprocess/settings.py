"""What the operator can set for postprocess."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.settings import ServiceSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class PostprocessSettings:
    """Postprocess's settings."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    batch_size: int = setting(
        "GW_POSTPROCESS_BATCH",
        64,
        "How many inferred jobs are judged in one round trip.",
        at_least=1,
        at_most=1000,
    )
    lease_s: float = setting(
        "GW_POSTPROCESS_LEASE_S",
        10.0,
        "After this long another postprocess takes over what a dead one had claimed.",
        at_least=1,
        at_most=600,
    )
