"""An MQTT broker as a target: ``mqtt://host:port/plant/{model}``, parsed once.

The path is a template of the topic, filled anew for each event. Who connects says so in fields of
its own, since a URL is shown and logged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from egress.targets import MAX_URL_CHARACTERS, Target, parse_target
from pipeline.errors import InvalidRequest

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}

#: What a topic's template may name.
TOPIC_WORDS = ("tenant", "model", "event_type")

_TOPIC_MAX_CHARACTERS = 256
_WORD = re.compile(r"\{([^{}]*)\}")
# Wild cards are for subscribers; the others would be read differently by different brokers.
_NOT_IN_TOPIC = re.compile(r"[+#?{}\s\x00-\x1f\x7f-\x9f\\]")
_NOT_IN_LEVEL = re.compile(r"[+#/{}\s\x00-\x1f\x7f-\x9f\\]")
_PORT = re.compile(r":[0-9]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a publication goes. The target's scheme is ``mqtt`` or ``mqtts``."""

    target: Target
    topic_template: str

    def topic(self, *, tenant: str, model: str, event_type: str) -> str:
        """Give the topic of an event; what a level cannot hold becomes ``_``, nothing ``-``."""
        words = {"tenant": tenant, "model": model, "event_type": event_type}
        return _WORD.sub(
            lambda match: _NOT_IN_LEVEL.sub("_", words[match[1]]) or "-", self.topic_template
        )


def is_broker(url: str) -> bool:
    """Whether *url* names a broker, and no HTTP receiver."""
    return url.partition(":")[0].lower() in MQTT_PORTS


def parse_broker(url: str) -> Broker:
    """Parse a broker's *url*.

    Raises TargetNotAllowed for user-info, InvalidRequest for everything else that cannot be.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise _invalid(f"the URL is longer than {MAX_URL_CHARACTERS} characters")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise _invalid("the URL cannot be parsed") from exc
    if parts.scheme not in MQTT_PORTS:
        raise _invalid("the URL's scheme must be mqtt or mqtts")
    # The same rules for the host and its port, whatever is spoken there.
    target = parse_target(f"http://{parts.netloc}/")
    has_port = _PORT.search(parts.netloc) is not None
    if "?" in url or "#" in url:
        raise _invalid("a topic has neither ? nor #")
    return Broker(
        target=Target(
            scheme=parts.scheme,
            host=target.host,
            port=target.port if has_port else MQTT_PORTS[parts.scheme],
            path="/",
        ),
        topic_template=_checked(parts.path.removeprefix("/")),
    )


def _checked(template: str) -> str:
    if not 1 <= len(template) <= _TOPIC_MAX_CHARACTERS:
        raise _invalid(f"the URL's path is the topic: 1 to {_TOPIC_MAX_CHARACTERS} characters")
    for word in _WORD.findall(template):
        if word not in TOPIC_WORDS:
            named = ", ".join(f"{{{each}}}" for each in TOPIC_WORDS)
            raise _invalid(f"a topic may name {named}, and not {{{word[:32]}}}")
    if template.startswith("$") or _NOT_IN_TOPIC.search(_WORD.sub("", template)):
        raise _invalid("a topic has no wild card, white space, brace or backslash, and no $ first")
    return template


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="url")
