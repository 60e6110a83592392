"""Brokers' URLs, and topics made of events."""

from __future__ import annotations

import pytest

from egress.brokers import is_broker, parse_broker
from pipeline.errors import GwError


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("mqtt://broker.example/gw", "mqtt", "broker.example", 1883),
        ("mqtts://Broker.example/gw", "mqtts", "broker.example", 8883),
        ("mqtt://127.0.0.1:80/gw", "mqtt", "127.0.0.1", 80),
        ("mqtt://[::1]/gw", "mqtt", "::1", 1883),
        ("mqtt://[::1]:1884/gw", "mqtt", "::1", 1884),
    ],
)
def test_a_broker_is_parsed(url: str, scheme: str, host: str, port: int) -> None:
    """The port is the scheme's own unless it is named."""
    target = parse_broker(url).target

    assert (target.scheme, target.host, target.port) == (scheme, host, port)


@pytest.mark.parametrize(
    "url",
    [
        "http://broker.example/gw",
        "mqtt://broker.example",
        "mqtt://broker.example/",
        "mqtt:///gw",
        "mqtt://user:pw@broker.example/gw",
        "mqtt://broker.example/gw/#",
        "mqtt://broker.example/gw/+",
        "mqtt://broker.example/gw?x=1",
        "mqtt://broker.example/$SYS/x",
        "mqtt://broker.example/{secret}",
        "mqtt://broker.example/{model",
        "mqtt://broker.example/a b",
        "mqtt://broker.example:99999/gw",
        "mqtt://0x7f.1/gw",
        f"mqtt://broker.example/{'a' * 257}",
        f"mqtt://broker.example/{'a' * 3000}",
    ],
)
def test_what_is_no_brokers_url_is_refused(url: str) -> None:
    """Neither wild cards nor user-info nor words that no event has."""
    with pytest.raises(GwError):
        parse_broker(url)


@pytest.mark.parametrize(
    ("model", "topic"),
    [
        ("helmet", "plant/acme/helmet/job.succeeded"),
        ("", "plant/acme/-/job.succeeded"),
        ("a/b+c#", "plant/acme/a_b_c_/job.succeeded"),
        ("{tenant}", "plant/acme/_tenant_/job.succeeded"),
    ],
)
def test_a_topic_is_filled(model: str, topic: str) -> None:
    """A value fills one level, and cannot become a wild card or another level."""
    broker = parse_broker("mqtt://broker.example/plant/{tenant}/{model}/{event_type}")

    assert broker.topic(tenant="acme", model=model, event_type="job.succeeded") == topic


def test_brokers_are_known_by_their_scheme() -> None:
    """Whatever else is wrong with the URL."""
    assert is_broker("mqtt://x")
    assert is_broker("MQTTS://x")
    assert not is_broker("https://mqtt/")
