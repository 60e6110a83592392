"""What the embedded stack consists of."""

from __future__ import annotations

from pathlib import Path

from gw.data_folder import DataFolder
from gw.server import REDIS
from gw.stack import (
    MEDIA,
    OPERATIONS,
    START_ORDER,
    STOP_ORDER,
    WEBAPP,
    StackPlan,
    redis_spec,
    service_environ,
    service_specs,
)


def _plan(*egress_allow: str) -> StackPlan:
    return StackPlan(
        folder=DataFolder(root=Path("/srv/gw")),
        models=Path("/srv/models"),
        http_port=8081,
        redis_port=16400,
        egress_allow=egress_allow,
    )


def test_the_door_opens_last_and_closes_first() -> None:
    """The webapp starts after and stops before all others, and the store outlasts them all."""
    assert START_ORDER[-1] == STOP_ORDER[0] == WEBAPP
    assert STOP_ORDER[-1] == REDIS
    assert {*START_ORDER, REDIS} == set(STOP_ORDER)


def test_services_find_the_embedded_server_whatever_the_environment_says() -> None:
    """Settings about another Redis do not reach services of the embedded stack."""
    foreign = {
        "GW_REDIS_URL": "redis://elsewhere:6379/3",
        "GW_REDIS_PASSWORD": "theirs",
        "GW_REDIS_PREFIX": "other",
        "GW_HTTP_HOST": "0.0.0.0",
    }

    environ = service_environ(_plan(), foreign)

    assert environ["GW_REDIS_URL"] == "redis://127.0.0.1:16400/0"
    assert environ["GW_REDIS_PASSWORD_FILE"] == "/srv/gw/redis-secret"
    assert "GW_REDIS_PASSWORD" not in environ
    assert "GW_REDIS_PREFIX" not in environ
    assert environ["GW_HTTP_HOST"] == "127.0.0.1"


def test_other_settings_pass_through() -> None:
    """What the stack does not decide itself reaches the services as it is."""
    environ = service_environ(
        _plan(), {"GW_LOG_LEVEL": "debug", "PATH": "/bin", "GW_INSTANCE": "box-7"}
    )

    assert environ["GW_LOG_LEVEL"] == "debug"
    assert environ["PATH"] == "/bin"
    assert environ["GW_INSTANCE"] == "box-7"


def test_opened_networks_are_handed_on_together() -> None:
    """Every allowed network reaches the services, with its ports; none means no setting."""
    environ = service_environ(_plan("192.168.10.0/24:80,443", "10.1.0.0/16"), {})

    assert environ["GW_EGRESS_ALLOW"] == "192.168.10.0/24:80,443 10.1.0.0/16"
    assert "GW_EGRESS_ALLOW" not in service_environ(_plan(), {})


def test_no_command_line_holds_the_password() -> None:
    """The server is told its password by file, so that a process list never shows it."""
    specs = [
        redis_spec(_plan(), ("/usr/bin/redis-server", "/srv/gw/run/redis.conf"), {}),
        *service_specs(_plan(), {}),
    ]

    assert [spec.name for spec in specs] == [REDIS, *START_ORDER]
    assert specs[0].argv == ("/usr/bin/redis-server", "/srv/gw/run/redis.conf")
    assert specs[0].lock == Path("/srv/gw/redis/lock")
    modules = {spec.name: spec.argv[1:] for spec in specs[1:]}
    assert modules.pop(MEDIA) == ("-P", "-m", OPERATIONS)
    assert all(argv == ("-P", "-m", name) for name, argv in modules.items())


def test_each_queue_of_operations_has_a_process() -> None:
    """Both are the same program, told apart by their setting."""
    environs = {spec.name: spec.environ for spec in service_specs(_plan(), {})}

    assert "GW_OPERATIONS_QUEUE" not in environs[OPERATIONS]
    assert environs[MEDIA]["GW_OPERATIONS_QUEUE"] == "media"


def test_only_what_listens_shows_a_port() -> None:
    """The webapp and the server have a port, the others none."""
    ports = {spec.name: spec.port for spec in service_specs(_plan(), {})}

    assert ports.pop("webapp") == 8081
    assert set(ports) == {"dispatcher", "postprocess", "notifier", OPERATIONS, MEDIA}
    assert set(ports.values()) == {None}
