"""A machine without internet: an engine of its own that is empty, in a network of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from tests.containers.engine import COMPOSE

_START_PATIENCE_S = 60.0
_POLL_S = 0.1

#: Its network has a loopback and nothing else, so that no registry can be reached.
_START = """
import fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
fcntl.ioctl(socket.socket(), SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
folder = sys.argv[1]
os.dup2(os.open(f"{folder}/dockerd.log", os.O_WRONLY | os.O_CREAT), 2)
os.execlp("dockerd", "dockerd", "--host", f"unix://{folder}/docker.sock",
    "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
    "--pidfile", f"{folder}/docker.pid")
"""

_SUBMIT = """
import json, sys, time, urllib.error, urllib.request
key, count, picture = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
headers = {"authorization": f"Bearer {key}", "content-type": "application/octet-stream"}
url = "http://127.0.0.1:8080/v1/jobs?model=mean"
for _ in range(count):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, picture, headers), timeout=30)
    except urllib.error.HTTPError as error:
        if error.code not in (429, 503):
            raise
        time.sleep(0.1)
    else:
        print(json.load(answer)["id"], flush=True)
    # A stream of work that lasts, rather than a heap.
    time.sleep(0.02)
"""

_STATES = """
import json, sys, time, urllib.request
key, deadline = sys.argv[1], time.monotonic() + 60
def state(job):
    url = f"http://127.0.0.1:8080/v1/jobs/{job}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    return json.load(urllib.request.urlopen(request, timeout=30))["state"]
ended = {"succeeded", "failed", "canceled", "expired"}
for job in sys.stdin.read().split():
    while (found := state(job)) not in ended and time.monotonic() < deadline:
        time.sleep(0.05)
    print(found)
"""


class Offline:
    """An empty engine. It is driven through its socket, as ``DOCKER_HOST`` names it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gw-offline-"))
        plugins = self.folder / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(COMPOSE)
        self._process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", _START, str(self.folder)],
            start_new_session=True,
        )
        deadline_s = time.monotonic() + _START_PATIENCE_S
        while self.run("docker", "info", check=False).returncode != 0:
            assert time.monotonic() < deadline_s, (self.folder / "dockerd.log").read_text()[-2000:]
            time.sleep(_POLL_S)

    @property
    def environ(self) -> Mapping[str, str]:
        """Give the environment in which commands mean this engine, in English."""
        return os.environ | {
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "LC_ALL": "C",
        }

    def run(
        self, *command: str, check: bool = True, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that means this engine."""
        answer = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, input=given
        )
        if check:
            assert answer.returncode == 0, f"{command}: {answer.stdout}{answer.stderr}"
        return answer

    def submitting(self, key: str, picture: bytes, *, count: int) -> subprocess.Popen[str]:
        """Submit jobs one after another, from inside; the ids come as they are accepted."""
        command = ["docker", "exec", "gw-webapp-1", "python", "-c", _SUBMIT]
        return subprocess.Popen(
            [*command, key, str(count), picture.hex()],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ends(self, key: str, jobs: list[str]) -> list[str]:
        """Give the state in which each job ended."""
        command = ("docker", "exec", "-i", "gw-webapp-1", "python", "-c", _STATES, key)
        return self.run(*command, given="\n".join(jobs)).stdout.split()

    def versions(self) -> dict[str, str]:
        """Give the tag that each running container of the stack is made from."""
        show = "{{.Names}} {{.Image}}"
        lines = self.run("docker", "ps", "--format", show).stdout.splitlines()
        found = dict(line.split() for line in lines)
        return {name: image.partition(":")[2] for name, image in found.items() if "gw/" in image}

    def stop(self) -> None:
        """End the engine with all its containers, and forget it."""
        self.run("sh", "-c", "docker ps -aq | xargs -r docker rm -f", check=False)
        processes = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        self._process.wait(60)
        psutil.wait_procs(processes, timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)
