"""Stand-ins for the five services: packages of the same names that only show life.

They use the platform's own heartbeat and the webapp's two health routes, so that ``gw up`` sees
what it would see of the real ones, and behave as ``PLAY_<SERVICE>`` in the environment says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_SERVICE = """
import asyncio, http.server, json, os, sys, threading
from dataclasses import dataclass, field
from pathlib import Path
from pipeline.clock import SystemClock
from pipeline.connection import connect
from pipeline.health import HealthBoard, keep_beating
from pipeline.lifecycle import run_service
from pipeline.protocol import Keyspace
from pipeline.errors import InvalidSettings
from pipeline.settings import ServiceSettings

SERVICE = "@SERVICE@"
if os.environ.get("GW_OPERATIONS_QUEUE") == "media":
    SERVICE += "-media"
PLAY = os.environ.get("PLAY_" + SERVICE.upper().replace("-", "_"), "")

@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    service: ServiceSettings = field(default_factory=ServiceSettings)

class Routes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = 503 if self.path == "/readyz" and PLAY == "unready" else 200
        body = json.dumps({"ready": status == 200, "reasons": ["no model is usable"]}).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

async def serve(settings, stop):
    if PLAY == "crash":
        print("the roof is on fire", file=sys.stderr)
        raise RuntimeError("crash")
    if PLAY == "refuse":
        raise InvalidSettings("GW_NONSENSE: 7 is out of range")
    if SERVICE == "webapp":
        address = (os.environ["GW_HTTP_HOST"], int(os.environ["GW_HTTP_PORT"]))
        server = http.server.ThreadingHTTPServer(address, Routes)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    diary = Path(os.environ["GW_DATA_DIR"]) / "diary"
    async with connect(settings.service.redis) as redis:
        beating = asyncio.create_task(keep_beating(
            HealthBoard(redis, Keyspace()), SystemClock(), stop,
            service=SERVICE, instance=settings.service.instance,
            reason=lambda: "no model is usable" if PLAY == "unready" else "",
        ))
        await stop.wait()
        with diary.open("a") as file:
            file.write(SERVICE + " stops, redis answers: " + str(await redis.ping()) + "\\n")
        await beating

run_service(SERVICE, Settings, serve)
"""

PACKAGES = ("webapp", "dispatcher", "postprocess", "notifier", "operations")

#: The processes made of them, in the order of their stopping; operations has one per queue.
SERVICES = ("webapp", "operations", "operations-media", "dispatcher", "postprocess", "notifier")


def write_services(folder: Path) -> None:
    """Write the five packages into *folder*."""
    for service in PACKAGES:
        package = folder / service
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(_SERVICE.replace("@SERVICE@", service))


def environ_for(packages: Path, **settings: str) -> dict[str, str]:
    """Give an environment in which the stand-ins are found, without this machine's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GW_")}
    # The stand-ins go before the services; all else comes from this tree.
    path = os.pathsep.join((str(packages), str(Path(__file__).parents[3])))
    return {**inherited, "PYTHONPATH": path, "GW_GRACE_S": "5", **settings}


def run_gw(
    environ: Mapping[str, str], folder: Path, *arguments: str, timeout_s: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one ``gw`` command in *folder*, to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "gw", *arguments],
        cwd=folder,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
