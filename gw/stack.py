"""What the embedded stack consists of: its processes, their environment, their order."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gw.data_folder import DataFolder
from gw.server import LOOPBACK, REDIS
from gw.supervisor import ProcessSpec

WEBAPP: Final = "webapp"
DISPATCHER: Final = "dispatcher"
POSTPROCESS: Final = "postprocess"
NOTIFIER: Final = "notifier"
OPERATIONS: Final = "operations"
MEDIA: Final = "operations-media"

#: From the end of a job's way to its beginning: what accepts work comes when all else is there.
START_ORDER: Final = (NOTIFIER, POSTPROCESS, OPERATIONS, MEDIA, DISPATCHER, WEBAPP)

#: From the door inwards: nothing new is accepted while the rest finishes, the store goes last.
STOP_ORDER: Final = (WEBAPP, OPERATIONS, MEDIA, DISPATCHER, POSTPROCESS, NOTIFIER, REDIS)

#: Services that show their life by a heartbeat; the webapp is asked over HTTP.
BEATING: Final = (DISPATCHER, POSTPROCESS, NOTIFIER, OPERATIONS, MEDIA)

#: A service whose package has another name, and what distinguishes it there.
_PACKAGES: Final[Mapping[str, str]] = {MEDIA: OPERATIONS}
_OWN_ENVIRON: Final[Mapping[str, dict[str, str]]] = {MEDIA: {"GW_OPERATIONS_QUEUE": "media"}}

#: Settings about another Redis, which must not reach services that use the embedded one.
_FOREIGN_SETTINGS: Final = ("GW_REDIS_PASSWORD", "GW_REDIS_PASSWORD_FILE", "GW_REDIS_PREFIX")

#: The services' name among others of their kind: here there are no others, and a laptop's host
#: name changes with its network.
_INSTANCE: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """One embedded stack. *egress_allow* are networks that gw may call besides the internet."""

    folder: DataFolder
    models: Path
    http_port: int
    redis_port: int
    egress_allow: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://{LOOPBACK}:{self.http_port}"


def redis_spec(plan: StackPlan, argv: tuple[str, ...], environ: Mapping[str, str]) -> ProcessSpec:
    """Describe the server's process. The lock keeps two servers off one set of files."""
    return ProcessSpec(
        name=REDIS,
        argv=argv,
        environ={name: value for name, value in environ.items() if not name.startswith("GW_")},
        folder=Path.cwd(),
        lock=plan.folder.redis_lock,
        port=plan.redis_port,
    )


def service_specs(plan: StackPlan, environ: Mapping[str, str]) -> tuple[ProcessSpec, ...]:
    """Describe the services' processes in the order of their start."""
    child_environ = service_environ(plan, environ)
    return tuple(
        ProcessSpec(
            name=service,
            # -P: a folder that happens to be called like a service must not be run instead.
            argv=(sys.executable, "-P", "-m", _PACKAGES.get(service, service)),
            environ=child_environ | _OWN_ENVIRON.get(service, {}),
            folder=Path.cwd(),
            port=plan.http_port if service == WEBAPP else None,
        )
        for service in START_ORDER
        if _is_installed(_PACKAGES.get(service, service))
    )


def _is_installed(package: str) -> bool:
    """Tell whether a service can be started: the operations plane may be left out."""
    return package != OPERATIONS or all(map(find_spec, (OPERATIONS, "rq")))


def service_environ(plan: StackPlan, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the services' environment: *environ*, with what the stack itself decides on top.

    The server's password goes by file, so that it stands in no process's environment.
    """
    child_environ = {
        name: value for name, value in environ.items() if name not in _FOREIGN_SETTINGS
    }
    child_environ |= {
        "GW_REDIS_URL": f"redis://{LOOPBACK}:{plan.redis_port}/0",
        "GW_REDIS_PASSWORD_FILE": str(plan.folder.redis_secret),
        "GW_DATA_DIR": str(plan.folder.root),
        "GW_MODELS_DIR": str(plan.models),
        "GW_HTTP_HOST": LOOPBACK,
        "GW_HTTP_PORT": str(plan.http_port),
        "PYTHONUNBUFFERED": "1",
    }
    child_environ.setdefault("GW_INSTANCE", _INSTANCE)
    if plan.egress_allow:
        child_environ["GW_EGRESS_ALLOW"] = " ".join(plan.egress_allow)
    return child_environ
