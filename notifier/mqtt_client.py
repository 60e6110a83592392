"""One connection to an MQTT broker: dialled where it was judged, told of every acknowledgement."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from egress.answer import FaultKind

#: What it says itself is in our own events.
_SILENT: Final = logging.getLogger("notifier.mqtt.library")
_SILENT.setLevel(logging.CRITICAL)

KEEPALIVE_S: Final = 30


class NotPublished(Exception):
    """Nothing was acknowledged; *kind* and the sentence say why."""

    def __init__(self, kind: FaultKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLogin:
    """Whom the broker is to see, and in which version: 5 or 3.1.1."""

    client_id: str
    username: str = ""
    password: str = field(default="", repr=False)
    is_version_5: bool = True


class NamedContext(ssl.SSLContext):
    """A TLS context that asks for and verifies *server_name*, though an address is dialled."""

    server_name: str = ""
    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap for the name."""
        named = kwargs | {"server_hostname": self.server_name}
        self.wrapped = super().wrap_socket(*args, **named)
        return self.wrapped

    def close(self) -> None:
        """Close what was wrapped last: after a failed handshake nobody else does."""
        if self.wrapped is not None:
            self.wrapped.close()


class MqttClient(aiomqtt.Client):
    """A client that tells how each publication was acknowledged, which aiomqtt's own does not."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        login: BrokerLogin,
        tls: ssl.SSLContext | None,
        timeout_s: float,
    ) -> None:
        super().__init__(
            address,
            port,
            identifier=login.client_id,
            username=login.username or None,
            password=login.password or None,
            protocol=(
                aiomqtt.ProtocolVersion.V5 if login.is_version_5 else aiomqtt.ProtocolVersion.V311
            ),
            # What was not acknowledged is published by the next attempt, not by the library.
            clean_session=None if login.is_version_5 else True,
            tls_context=tls,
            timeout=timeout_s,
            keepalive=KEEPALIVE_S,
            logger=_SILENT,
        )
        self._client.connect_timeout = timeout_s
        self._is_version_5 = login.is_version_5
        self._awaited: dict[int, asyncio.Future[ReasonCode]] = {}

    async def publish_acknowledged(
        self, topic: str, body: bytes, properties: Mapping[str, str]
    ) -> None:
        """Publish at QoS 1, not retained, and wait for the PUBACK; raises NotPublished."""
        # Only in version 5: 3.1.1 has no place for them.
        packed = None
        if self._is_version_5:
            packed = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            packed.UserProperty = list(properties.items())
        info = self._client.publish(topic, body, 1, False, packed)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise NotPublished(FaultKind.RESET, "the connection to the broker is lost")
        acknowledged: asyncio.Future[ReasonCode] = asyncio.get_running_loop().create_future()
        self._awaited[info.mid] = acknowledged
        try:
            reason = await acknowledged
        finally:
            self._awaited.pop(info.mid, None)
        if reason.is_failure:
            raise NotPublished(FaultKind.REFUSED, f"the broker refused it: {reason}")

    async def lost(self) -> None:
        """Wait until the connection has ended."""
        try:
            await asyncio.shield(self._disconnected)
        except aiomqtt.MqttError:
            return
        except (OSError, ValueError):
            return

    def drop(self) -> None:
        """Let go of a connection that never was one: without this its socket stays open."""
        self._client.disconnect()

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any
    ) -> None:
        awaited = self._awaited.get(mid)
        if awaited is not None and not awaited.done():
            awaited.set_result(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)
