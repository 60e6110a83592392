"""What a command about a model may say in its body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import NotFound
from pipeline.models.command_outcome import COMMAND_TTL_S
from webapp.refusals import InvalidField

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_FIELDS = ("version", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFields:
    """Which version, "" for the model; and how long the request waits for the end."""

    version: str = ""
    wait_s: float = 0.0


def check_model_name(name: str) -> str:
    """Give *name* back; raises NotFound for one that no model can have."""
    if not _NAME.fullmatch(name):
        raise NotFound("There is no model of this name.")
    return name


def parse_command_fields(document: Mapping[str, Any]) -> CommandFields:
    """Parse a body; raises InvalidField."""
    for name in document:
        if name not in _FIELDS:
            raise InvalidField(f"There is no field {name!r}.", field=name, allowed=_FIELDS)
    version = document.get("version", "")
    if not isinstance(version, str) or (version and not _VERSION.fullmatch(version)):
        raise InvalidField("The version must be a text such as '2'.", field="version")
    wait_s = document.get("wait", 0)
    is_number = isinstance(wait_s, int | float) and not isinstance(wait_s, bool)
    if not is_number or not 0 <= wait_s <= COMMAND_TTL_S:
        raise InvalidField(
            f"wait must be a number of seconds from 0 to {COMMAND_TTL_S:g}.", field="wait"
        )
    return CommandFields(version=version, wait_s=float(wait_s))
