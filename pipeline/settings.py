"""Settings: read once from the environment into typed objects, and the table that documents them.

A service declares a frozen dataclass whose fields are made by :func:`setting`, or are themselves
such dataclasses. ``load`` reads it; ``describe`` lists it for ``docs/configuration.md``. Every
number's name ends in its unit. A value that is also accepted from a file (a secret) is read from
the path in ``<NAME>_FILE`` when that is set.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pipeline.errors import InvalidSettings
from pipeline.protocol import JOB_RETENTION_MS

T = TypeVar("T")

_WORDS = {"1": True, "true": True, "yes": True, "on": True}
_WORDS |= {"0": False, "false": False, "no": False, "off": False}


def setting(  # noqa: PLR0913  # a row of a table, always given by name
    name: str,
    default: Any,
    meaning: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    one_of: tuple[str, ...] = (),
    secret: bool = False,
    shown_default: str = "",
) -> Any:
    """Declare one setting: its environment variable, default, meaning and allowed values.

    A callable *default* is called when the setting is absent; *shown_default* describes it.
    """
    metadata = {
        "name": name,
        "default": default,
        "meaning": meaning,
        "at_least": at_least,
        "at_most": at_most,
        "one_of": one_of,
        "secret": secret,
        "shown_default": shown_default,
    }
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One row of the configuration table."""

    name: str
    type: str
    default: str
    allowed: str
    meaning: str


def load(settings_type: type[T], environ: Mapping[str, str]) -> T:
    """Read *settings_type* from *environ*; raises InvalidSettings naming every bad variable."""
    problems: list[str] = []
    settings: T = _load(settings_type, environ, problems)
    if problems:
        raise InvalidSettings("; ".join(problems))
    return settings


def describe(settings_type: Any) -> Iterator[SettingRow]:
    """List the settings of *settings_type*, depth first, in the order of declaration."""
    hints = get_type_hints(settings_type)
    for spec in dataclasses.fields(settings_type):
        hint = hints[spec.name]
        if dataclasses.is_dataclass(hint):
            yield from describe(hint)
            continue
        default = spec.metadata["default"]
        yield SettingRow(
            name=spec.metadata["name"],
            type=hint.__name__,
            default=spec.metadata["shown_default"] or str(default),
            allowed=_allowed(spec.metadata),
            meaning=spec.metadata["meaning"],
        )


def _load(settings_type: Any, environ: Mapping[str, str], problems: list[str]) -> Any:
    hints = get_type_hints(settings_type)
    values = {}
    for spec in dataclasses.fields(settings_type):
        hint = hints[spec.name]
        if dataclasses.is_dataclass(hint):
            values[spec.name] = _load(hint, environ, problems)
            continue
        try:
            text = _text(spec.metadata, environ)
            if text is not None:
                values[spec.name] = _parse(text, hint, spec.metadata)
        except (ValueError, OSError) as exc:
            problems.append(f"{spec.metadata['name']}: {exc}")
    return settings_type(**values)


def _text(metadata: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    name = metadata["name"]
    if metadata["secret"] and environ.get(f"{name}_FILE"):
        return Path(environ[f"{name}_FILE"]).read_text("utf-8").strip()
    text = environ.get(name)
    return None if text is None or (text == "" and not metadata["secret"]) else text


def _parse(text: str, hint: type, metadata: Mapping[str, Any]) -> Any:
    if hint is bool:
        if text.lower() not in _WORDS:
            raise ValueError(f"{text!r} is not a yes or no")
        return _WORDS[text.lower()]
    if hint in (int, float):
        number = hint(text)
        low, high = metadata["at_least"], metadata["at_most"]
        # "nan" is a float to Python, and neither below nor above anything.
        if (
            not isfinite(number)
            or (low is not None and number < low)
            or (high is not None and number > high)
        ):
            raise ValueError(f"{text} is out of range; allowed: {_allowed(metadata)}")
        return number
    if metadata["one_of"] and text not in metadata["one_of"]:
        raise ValueError(f"{text!r} is not allowed; allowed: {_allowed(metadata)}")
    return hint(text)


def _allowed(metadata: Mapping[str, Any]) -> str:
    low, high = metadata["at_least"], metadata["at_most"]
    if metadata["one_of"]:
        return ", ".join(metadata["one_of"])
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Where Redis is."""

    url: str = setting(
        "GW_REDIS_URL", "redis://127.0.0.1:6379/0", "Where Redis (or Valkey) listens."
    )
    password: str = setting(
        "GW_REDIS_PASSWORD", "", "Its password; better given as a file.", secret=True
    )
    timeout_s: float = setting(
        "GW_REDIS_TIMEOUT_S",
        5.0,
        "How long one command may take before Redis counts as away.",
        at_least=0.1,
        at_most=60,
    )
    prefix: str = setting("GW_REDIS_PREFIX", "gw1", "What every key begins with.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What every service has."""

    redis: RedisSettings = field(default_factory=RedisSettings)
    instance: str = setting(
        "GW_INSTANCE",
        socket.gethostname,
        "This process among others of its service; stable over restarts, so that it finds its "
        "claims again.",
        shown_default="the host's name",
    )
    log_level: str = setting(
        "GW_LOG_LEVEL",
        "info",
        "The least severe event that is logged.",
        one_of=("debug", "info", "warning", "error"),
    )
    log_format: str = setting(
        "GW_LOG_FORMAT", "text", "How log lines look.", one_of=("text", "json")
    )
    grace_s: float = setting(
        "GW_GRACE_S",
        20.0,
        "How long a stopping service may take to finish or hand back what it claimed.",
        at_least=0,
        at_most=600,
    )
    job_retention_s: int = setting(
        "GW_JOB_RETENTION_S",
        JOB_RETENTION_MS // 1000,
        "How long a job can be read after its end, or after the last attempt to announce it. An "
        "ended job takes some 4 kB of Redis's memory.",
        at_least=60,
        at_most=31_536_000,
    )
    data_dir: Path = setting("GW_DATA_DIR", Path("data"), "The folder for pictures that wait.")
    heartbeat_file: str = setting(
        "GW_HEARTBEAT_FILE",
        "",
        "A file that is written with every heartbeat, for a container's health check.",
    )
