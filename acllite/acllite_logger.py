"""AclLite's log lines: on standard output, and in CANN's own log where there is one.

Nothing here needs the interpreter's frames or modules beyond the call, so that destructors may log
as late as they like.
"""

from __future__ import annotations

from typing import Any

import acl  # type: ignore[import-not-found, unused-ignore]

from acllite import constants as const


def log_error(*log_msg: Any) -> None:
    """Tell an error."""
    _log("ERROR", const.LOG_LEVEL_ERROR, log_msg)


def log_warning(*log_msg: Any) -> None:
    """Tell a warning."""
    _log("WARNING", const.LOG_LEVEL_WARNING, log_msg)


def log_info(*log_msg: Any) -> None:
    """Tell what happens."""
    _log("INFO", const.LOG_LEVEL_INFO, log_msg)


def log_debug(*log_msg: Any) -> None:
    """Tell details: in CANN's log only."""
    _log("DEBUG", const.LOG_LEVEL_DEBUG, log_msg)


def _log(word: str, level: int, parts: tuple[Any, ...]) -> None:
    text = " ".join(str(part) for part in parts)
    if level > const.LOG_LEVEL_DEBUG:
        print(f"[{word}] {text}", flush=True)  # noqa: T201  # where AclLite's programs look for it
    if hasattr(acl, "app_log"):
        acl.app_log(level, text)
