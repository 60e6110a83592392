"""What the operator can set about how models come, change and go."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleSettings:
    """How the models folder is watched, and how a new version takes over."""

    watch: str = setting(
        "GW_MODELS_WATCH",
        "poll",
        "poll: changes of the models folder are taken as they settle. explicit: only when the API "
        "says load or reload.",
        one_of=("poll", "explicit"),
    )
    interval_s: float = setting(
        "GW_MODELS_INTERVAL_S",
        2.0,
        "How often the models folder is looked at.",
        at_least=0.05,
        at_most=3600,
    )
    settle_s: float = setting(
        "GW_MODELS_SETTLE_S",
        2.0,
        "A model's files are taken, or given up, once nothing of them changed for so long.",
        at_least=0,
        at_most=3600,
    )
    versions_max: int = setting(
        "GW_MODEL_VERSIONS_MAX",
        8,
        "How many versions of a model are offered, the newest first, where its card does not say.",
        at_least=1,
        at_most=1000,
    )
    trial_jobs: int = setting(
        "GW_MODEL_TRIAL_JOBS",
        20,
        "A version that took over is on trial for its first so many jobs; 0 is no trial.",
        at_least=0,
        at_most=100_000,
    )
    trial_failures: int = setting(
        "GW_MODEL_TRIAL_FAILURES",
        3,
        "So many jobs that it fails on trial, or one crash of the device, bring the version "
        "before it back.",
        at_least=1,
        at_most=100_000,
    )
    removed_grace_s: float = setting(
        "GW_MODEL_REMOVED_GRACE_S",
        300.0,
        "A removed version runs its accepted jobs for so long; jobs of a model that no dispatcher "
        "offered for so long fail as model_removed.",
        at_least=0,
        at_most=2_592_000,
    )
