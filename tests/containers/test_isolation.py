"""A container can do what its service needs, and nothing else."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.containers import stand_ins
from tests.containers.engine import docker
from tests.containers.stack import Stack

pytestmark = pytest.mark.timeout(300)

OURS = ("webapp", "notifier", "postprocess", "dispatcher")

#: All that can be written in a container: volumes, what lies in memory, and no more.
WRITABLE = {
    "webapp": {"/data", "/tmp"},
    "notifier": {"/tmp"},
    "postprocess": {"/tmp"},
    "dispatcher": {
        "/data",
        "/tmp",
        "/app/gwproc",
        "/var/log",
        "/home/HwHiAiUser/ascend",
        "/home/HwHiAiUser/hdc_ppc",
    },
    "redis": {"/data", "/tmp"},
}

#: Who may reach out: webhooks and pictures by URL.
OUTGOING = {"webapp": True, "notifier": True, "postprocess": False, "dispatcher": False}

DIAL = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9000), timeout=2).close()
except OSError:
    sys.exit(3)
"""

INTRUDE = r"""
import socket
def ask(*commands):
    with socket.create_connection(("redis", 6379), timeout=5) as server:
        answers = []
        for command in commands:
            server.sendall(command.encode() + b"\r\n")
            answers.append(server.recv(4096).decode().strip())
        return answers
print("\n".join(ask(
    "PING", "INFO", "KEYS *", "HGETALL gw1:api-keys", "CONFIG GET *", "EVAL return 0",
    "AUTH password", "AUTH default default", "AUTH operator operator", "HELLO 3", "SUBSCRIBE x",
)))
"""


@pytest.mark.parametrize("service", [*OURS, "redis"])
def test_a_container_has_no_privilege(service: str, npu_stack: Stack) -> None:
    """No capability, no way to gain one, an ordinary user; memory, processes, logs are bounded."""
    state = npu_stack.state(service)
    status = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{state['State']['Pid']}/status").read_text().splitlines()
    )
    host = state["HostConfig"]

    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {int(status[name], 16) for name in sets} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    user = "999" if service == "redis" else "1000"
    assert status["Uid"].split() == [user] * 4
    assert status["Gid"].split() == ["1000"] * 4
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert not host["CapAdd"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-file": "5", "max-size": "10m"}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("service", [*OURS, "redis"])
def test_only_listed_folders_can_be_written(service: str, npu_stack: Stack) -> None:
    """Every folder that the service's user can write lies in one of the listed places."""
    find = "find / -xdev -type d -writable 2>/dev/null; grep ' rw,' /proc/self/mounts"

    lines = npu_stack.run_in(service, "sh", "-c", find, check=False).splitlines()

    folders = {line for line in lines if line.startswith("/") and " " not in line}
    mounts = {line.split()[1] for line in lines if " " in line}
    kernel = {"/proc", "/sys", "/dev"}
    found = {path for path in folders | mounts if f"/{path.split('/')[1]}" not in kernel}
    # Docker's own three files; they belong to root.
    found -= {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
    beside = {
        path
        for path in found
        if not any(path == place or path.startswith(f"{place}/") for place in WRITABLE[service])
    }
    assert beside == set()
    assert WRITABLE[service] <= mounts


def test_an_intruder_without_the_password_reaches_nothing_in_redis(npu_stack: Stack) -> None:
    """A strange container on the inner network is refused everything by Redis."""
    network = f"{npu_stack.project}_inner"

    answers = docker(
        "run", "--rm", "--network", network, stand_ins.PYTHON, "python3", "-c", INTRUDE
    )

    assert len(answers.splitlines()) == 11
    assert all(line.startswith(("-NOAUTH", "-WRONGPASS")) for line in answers.splitlines())


def test_a_service_can_neither_empty_nor_reconfigure_redis(npu_stack: Stack) -> None:
    """With the services' password, what is dangerous is refused; the operator may do it."""
    ask = "REDISCLI_AUTH=$(cat {}) redis-cli {} 2>&1"
    refused = [
        "flushall",
        "config get save",
        "shutdown",
        "acl list",
        "replicaof no one",
        "client kill type normal",
    ]

    for command in refused:
        answer = npu_stack.run_in(
            "redis", "sh", "-c", ask.format("/run/gw/redis-password", command), check=False
        )
        assert answer.startswith("NOPERM"), (command, answer)

    answer = npu_stack.run_in(
        "redis",
        "sh",
        "-c",
        ask.format("/run/gw-server/operator-password", "--user operator config get appendfsync"),
    )
    assert answer.split() == ["appendfsync", "always"]


@pytest.mark.parametrize("service", OURS)
def test_only_who_must_reach_out_can(service: str, npu_stack: Stack) -> None:
    """The webapp and the notifier reach an address outside, the others have no way out."""
    python = "/opt/gw/bin/python" if service == "dispatcher" else "python"
    found = npu_stack.run_in(
        service,
        "sh",
        "-c",
        f"{python} -c '{DIAL}' {npu_stack.receiver_host} && echo out || echo shut",
        check=False,
    )

    assert found.strip() == ("out" if OUTGOING[service] else "shut")


def test_one_port_is_published_and_it_speaks_the_api_alone(npu_stack: Stack) -> None:
    """Nothing but the webapp's port is open on the host, and it answers HTTP with problems."""
    published: dict[str, Any] = {}
    for service in (*OURS, "redis"):
        ports = npu_stack.state(service)["NetworkSettings"]["Ports"]
        published |= {f"{service} {port}": to for port, to in ports.items() if to}
    listening = {service: _listening(npu_stack, service) for service in (*OURS, "redis")}

    assert published == {
        "webapp 8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(npu_stack.port)}]
    }
    silent: dict[str, set[int]] = {"notifier": set(), "postprocess": set(), "dispatcher": set()}
    assert listening == {"webapp": {8080}, "redis": {6379}} | silent
    assert _ask(npu_stack.port, b"PING\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    answer = _ask(
        npu_stack.port, b"GET /gw1:api-keys HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 404


def _listening(stack: Stack, service: str) -> set[int]:
    """Give the TCP ports that a container listens on, without those of Docker's resolver."""
    pid = stack.state(service)["State"]["Pid"]
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.split(":")
            if state == "0A" and address != "0B00007F":
                ports.add(int(port, 16))
    return ports


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
