"""The command line's own settings, which its options override."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pipeline.settings import RedisSettings, setting

#: Who owns the jobs of a platform that one person runs.
DEFAULT_TENANT: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """What ``gw`` reads from the environment. The services it starts read their own."""

    redis: RedisSettings = field(default_factory=RedisSettings)
    data_dir: Path = setting("GW_DATA_DIR", Path("data"), "The data folder of the embedded stack.")
    models_dir: Path = setting("GW_MODELS_DIR", Path("gwproc"), "The folder of the models.")
    http_port: int = setting(
        "GW_HTTP_PORT", 8080, "The API's port on 127.0.0.1.", at_least=1, at_most=65535
    )
    redis_port: int = setting(
        "GW_EMBEDDED_REDIS_PORT",
        0,
        "The embedded server's port on 127.0.0.1; 0 takes a free one.",
        at_least=0,
        at_most=65535,
    )
    redis_memory_mb: int = setting(
        "GW_EMBEDDED_REDIS_MEMORY_MB",
        512,
        "What the embedded server may hold in memory.",
        at_least=16,
    )
    up_timeout_s: float = setting(
        "GW_UP_TIMEOUT_S",
        60.0,
        "How long the stack may take until every service is healthy.",
        at_least=1,
    )
    grace_s: float = setting(
        "GW_GRACE_S",
        20.0,
        "How long a stopping service may take to finish or hand back what it claimed.",
        at_least=0,
        at_most=600,
    )


def environ_with(environ: Mapping[str, str], **overrides: object) -> dict[str, str]:
    """Lay options over the environment: *data_dir* becomes ``GW_DATA_DIR``; None is absent."""
    laid = {
        f"GW_{name.upper()}": os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        for name, value in overrides.items()
        if value is not None
    }
    return {**environ, **laid}
