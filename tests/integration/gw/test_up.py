"""``gw up``, ``gw down`` and ``gw status`` with a real server and stand-ins for the services."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.gw.processes import is_running, lines_of, wait_until
from tests.integration.gw.services import SERVICES, environ_for, run_gw, write_services


class Box:
    """A folder to run the stack in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._processes: list[subprocess.Popen[str]] = []
        (folder / "gwproc").mkdir()
        write_services(folder / "packages")
        self.environ = environ_for(folder / "packages", GW_HTTP_PORT=str(self.port))

    def gw(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        return run_gw({**self.environ, **settings}, self.folder, *arguments)

    def up(self, **settings: str) -> None:
        """Bring the stack up in the background."""
        answer = self.gw("up", "--detach", **settings)
        assert answer.returncode == 0, answer.stderr

    def foreground(self, **settings: str) -> subprocess.Popen[str]:
        """Start ``gw up`` without waiting."""
        with (self.folder / "shown").open("w") as shown:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gw", "up"],
                cwd=self.folder,
                env={**self.environ, **settings},
                stdout=shown,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Leave nothing running."""
        for process in self._processes:
            process.kill()
            process.wait(10)
        self.gw("down", "--now")

    def status(self) -> dict[str, Any]:
        """Read ``gw status --json``."""
        document: dict[str, Any] = json.loads(self.gw("status", "--json").stdout)
        return document

    def pids(self) -> dict[str, int]:
        """Give the process ids by service."""
        return {each["name"]: each["pid"] for each in self.status().get("services", [])}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """Give a box, and leave nothing of it running."""
    box = Box(tmp_path)
    yield box
    box.close()


def test_comes_up_tells_its_health_and_goes_down(box: Box) -> None:
    """One command brings everything up, one tells that all is well, one takes it down again."""
    up = box.gw("up", "--detach")
    assert up.returncode == 0, up.stderr
    assert f"http://127.0.0.1:{box.port}" in up.stdout

    status = box.gw("status")
    assert status.returncode == 0, status.stdout
    document = box.status()
    assert document["healthy"]
    assert {each["name"] for each in document["services"]} == {"redis", *SERVICES}
    assert all(each["health"]["ready"] for each in document["services"])
    pids = box.pids()

    down = box.gw("down")
    assert (down.returncode, down.stdout) == (0, "gw is down\n")
    assert not any(is_running(pid) for pid in pids.values())
    assert box.gw("status").returncode == 3
    again = box.gw("down")
    assert again.returncode == 0
    assert "does not run" in again.stdout


def test_the_first_start_makes_a_key_and_later_ones_keep_it(box: Box) -> None:
    """The key lies in a private file, is registered as a hash, and survives a restart."""
    box.up()
    token = (box.data / "api-key").read_text().strip()
    listed = json.loads(box.gw("keys", "list", "--json").stdout)
    box.gw("down")
    box.up()

    assert (box.data / "api-key").read_text().strip() == token
    assert (box.data / "api-key").stat().st_mode & 0o777 == 0o600
    assert [each["key_id"] for each in listed] == [token.split("_")[1]]
    assert json.loads(box.gw("keys", "list", "--json").stdout) == listed
    secret = token.split("_", 2)[2]
    kept = [path for path in box.data.rglob("*") if path.is_file()]
    assert [path.name for path in kept if secret.encode() in path.read_bytes()] == ["api-key"]


def test_a_revoked_first_key_stays_revoked(box: Box) -> None:
    """A restart does not register a key again that somebody took back."""
    box.up()
    key_id = (box.data / "api-key").read_text().split("_")[1]
    assert box.gw("keys", "revoke", key_id).returncode == 0
    box.gw("down")
    box.up()

    assert json.loads(box.gw("keys", "list", "--json").stdout) == []
    assert "is not known here" in (box.data / "log" / "gw.log").read_text()
    assert box.gw("keys", "revoke", key_id).returncode == 1


def test_a_second_start_on_the_same_folder_is_refused(box: Box) -> None:
    """Two stacks never share a data folder, in whichever way the second is started."""
    box.up()

    for arguments in (("up",), ("up", "--detach")):
        second = box.gw(*arguments)
        assert second.returncode == 1
        assert second.stderr.startswith("gw: gw already runs on the data folder")
        assert "Traceback" not in second.stderr
    assert box.status()["healthy"]


def test_a_busy_port_is_named_with_its_remedy(box: Box) -> None:
    """A port in use stops the start with one sentence that names the option to change it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", box.port))
        other.listen()
        for arguments in (("up",), ("up", "-d")):
            up = box.gw(*arguments)
            assert up.returncode == 1
            assert up.stderr == (
                f"gw: port {box.port} on 127.0.0.1 is in use; choose another with --port\n"
            )


def test_a_missing_models_folder_is_named(box: Box) -> None:
    """Without models folder nothing starts, and the sentence names the option."""
    up = box.gw("up", "--models", "nowhere")

    assert up.returncode == 1
    assert "there is no models folder" in up.stderr
    assert "--models" in up.stderr


def test_a_service_that_keeps_crashing_fails_the_start(box: Box) -> None:
    """The detached start ends with the crashed service's last lines, and leaves nothing running."""
    up = box.gw("up", "--detach", PLAY_NOTIFIER="crash")

    assert up.returncode == 1
    assert "notifier | the roof is on fire" in up.stderr
    assert up.stderr.splitlines()[-1] == "gw: notifier does not come up (exit code 1)"
    assert box.gw("status").returncode == 3


def test_refused_settings_fail_the_start_at_once(box: Box) -> None:
    """A service that refuses its settings is not started over and over."""
    up = box.gw("up", "--detach", PLAY_DISPATCHER="refuse")

    assert up.returncode == 1
    assert "GW_NONSENSE: 7 is out of range" in up.stderr
    log = lines_of(box.data / "log" / "dispatcher.log")
    assert len([line for line in log if "service.refused" in line]) == 1


def test_a_stack_that_cannot_work_says_so_and_stays(box: Box) -> None:
    """Where everything lives but a service cannot work, the reason is told and status is 1."""
    up = box.gw("up", "--detach", PLAY_DISPATCHER="unready", GW_UP_TIMEOUT_S="3")

    assert up.returncode == 1
    assert "dispatcher: no model is usable" in up.stderr
    status = box.gw("status")
    assert status.returncode == 1
    assert "not ready: no model is usable" in status.stdout


def test_a_killed_service_comes_back(box: Box) -> None:
    """A service killed from outside is started again, and status counts it."""
    box.up()
    first = box.pids()["postprocess"]

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: box.status()["healthy"] and box.pids()["postprocess"] != first)

    (report,) = [each for each in box.status()["services"] if each["name"] == "postprocess"]
    assert report["restarts"] == 1
    assert report["last_exit"] == -9


def test_a_killed_redis_comes_back_with_everything(box: Box) -> None:
    """The store killed under running services returns on its port, with what it had."""
    box.up()
    added = box.gw("keys", "add", "--tenant", "plant-7", "--description", "camera")
    before = box.status()
    first = box.pids()["redis"]

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: box.status()["healthy"] and box.pids()["redis"] != first)

    assert box.status()["redis_port"] == before["redis_port"]
    keys = json.loads(box.gw("keys", "list", "--json").stdout)
    assert added.stdout.split("_")[1] in [each["key_id"] for each in keys]


def test_a_killed_supervisor_leaves_nothing_and_the_folder_usable(box: Box) -> None:
    """After the supervisor is killed outright no service lives, and the stack can start again."""
    box.up()
    pids = box.pids()
    os.kill(box.status()["pid"], signal.SIGKILL)

    wait_until(lambda: not any(is_running(pid) for pid in pids.values()), timeout_s=5)

    assert box.gw("status").returncode == 3
    assert "does not run" in box.gw("down").stdout
    box.up()
    assert box.status()["healthy"]


def test_ctrl_c_stops_the_foreground_in_order(box: Box) -> None:
    """In the foreground lines carry their service's name, and one Ctrl-C ends all in order."""
    process = box.foreground()
    wait_until(lambda: "gw is up" in (box.folder / "shown").read_text(), timeout_s=30)
    pids = box.pids()

    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0
    assert [line.split(" ", 1) for line in lines_of(box.data / "diary")] == [
        [service, "stops, redis answers: True"] for service in SERVICES
    ]
    assert not any(is_running(pid) for pid in pids.values())
    shown = (box.folder / "shown").read_text()
    assert "redis            | " in shown
    assert f'curl -H "Authorization: Bearer $(cat {box.data}/api-key)"' in shown
    assert (box.data / "api-key").read_text().strip() not in shown


def test_a_stop_during_the_start_is_obeyed(box: Box) -> None:
    """A signal that comes before everything is up stops what there is."""
    process = box.foreground(PLAY_DISPATCHER="unready")
    wait_until(lambda: "starting" in (box.folder / "shown").read_text(), timeout_s=30)

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 0
    assert box.gw("status").returncode == 3


def test_only_loopback_is_listened_on(box: Box) -> None:
    """No process of the stack listens on any other address than 127.0.0.1."""
    box.up(GW_HTTP_HOST="0.0.0.0")

    addresses = {
        connection.laddr.ip
        for pid in box.pids().values()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


def test_endpoints_are_added_listed_and_removed(box: Box) -> None:
    """An endpoint's secret is shown once; the list has the rest; removing it is final."""
    box.up()
    added = box.gw("webhooks", "add", "https://example.com/hook", "--tenant", "plant-7")
    endpoint_id, secret = added.stdout.split()

    listed = box.gw("webhooks", "list", "--json").stdout
    assert [each["endpoint_id"] for each in json.loads(listed)] == [endpoint_id]
    assert json.loads(listed)[0]["tenant"] == "plant-7"
    assert secret.startswith("whsec_")
    assert secret not in listed + box.gw("webhooks", "list").stdout

    assert box.gw("webhooks", "remove", endpoint_id).returncode == 0
    assert box.gw("webhooks", "remove", endpoint_id).returncode == 1
    assert json.loads(box.gw("webhooks", "list", "--json").stdout) == []


def test_commands_say_when_nothing_runs(box: Box) -> None:
    """Without a running stack each command that needs one says so, and how to start it."""
    for arguments in (("keys", "list"), ("webhooks", "list"), ("keys", "add")):
        answer = box.gw(*arguments)
        assert answer.returncode == 1
        assert "gw does not run on" in answer.stderr
        assert "`gw up`" in answer.stderr
