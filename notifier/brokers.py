"""Publishing to MQTT brokers: one connection for each endpoint, kept alive and made anew.

A publication succeeds when the broker has acknowledged it (QoS 1). Until then it is a failed
attempt like any other: the delivery is tried again, so a broker may see it twice, and never not.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aiomqtt
from aiomqtt.exceptions import MqttConnectError

from egress.answer import Answer, Fault, FaultKind, Outcome
from egress.brokers import Broker, parse_broker
from egress.client import EgressClient
from egress.ranges import IPAddress
from egress.resolve import ResolutionFailed
from notifier.mqtt_client import BrokerLogin, MqttClient, NamedContext, NotPublished
from pipeline.deliveries.endpoints import Endpoint
from pipeline.errors import InvalidRequest, TargetNotAllowed

log = logging.getLogger(__name__)

#: A connection that nothing was published on for so long is closed.
_IDLE_S: Final = 300.0
_CONNECT_S: Final = 5.0

#: So many publications are under way on one connection; Mosquitto takes 20 unless told otherwise.
_IN_FLIGHT_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is published, and what version 5 says of it in user properties."""

    topic: str
    body: bytes = field(repr=False)
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)


class _Connection:
    """One connection, from its dialling to its end, in a task of its own."""

    def __init__(self, client: EgressClient, broker: Broker, endpoint: Endpoint) -> None:
        self._egress = client
        self._broker = broker
        self._endpoint = endpoint
        self._closing = asyncio.Event()
        self.ready: asyncio.Future[MqttClient] = asyncio.get_running_loop().create_future()
        # Whoever waited for it may have given up.
        self.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self.room = asyncio.Semaphore(_IN_FLIGHT_MAX)
        self.used_s = time.monotonic()
        self.ended = asyncio.create_task(self._run(), name=f"broker {endpoint.endpoint_id}")

    def close(self) -> None:
        """Let it end."""
        self._closing.set()

    async def _run(self) -> None:
        try:
            client = await self._connected()
        except NotPublished as fault:
            self.ready.set_exception(fault)
            return
        log.info("broker.connected", extra={"endpoint_id": self._endpoint.endpoint_id})
        self.ready.set_result(client)
        lost = asyncio.ensure_future(client.lost())
        closing = asyncio.ensure_future(self._until_idle())
        try:
            await asyncio.wait({lost, closing}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                log.warning("broker.lost", extra={"endpoint_id": self._endpoint.endpoint_id})
        finally:
            lost.cancel()
            closing.cancel()
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)

    async def _until_idle(self) -> None:
        while not self._closing.is_set():
            left_s = self.used_s + _IDLE_S - time.monotonic()
            if left_s <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._closing.wait()

    async def _connected(self) -> MqttClient:
        """Dial the addresses that were judged, one after the other; raises NotPublished."""
        target = self._broker.target
        try:
            addresses: Sequence[IPAddress] = await self._egress.judge(target)
            tls = self._tls() if target.scheme == "mqtts" else None
        except (TargetNotAllowed, InvalidRequest) as exc:
            raise NotPublished(FaultKind.TARGET_NOT_ALLOWED, str(exc)) from exc
        except ResolutionFailed as exc:
            raise NotPublished(FaultKind.DNS, str(exc)) from exc
        except (OSError, ValueError) as exc:
            raise NotPublished(FaultKind.TLS, "the certificate authority cannot be used") from exc
        fault = NotPublished(FaultKind.CONNECT, "the broker has no address")
        for address in addresses[:2]:
            client = MqttClient(
                str(address), target.port, login=self._login(), tls=tls, timeout_s=_CONNECT_S
            )
            try:
                return await client.__aenter__()
            except MqttConnectError as exc:
                client.drop()
                raise NotPublished(FaultKind.REFUSED, f"the broker refused us: {exc}") from exc
            except (aiomqtt.MqttError, ValueError) as exc:
                client.drop()
                if tls is not None:
                    tls.close()
                kind = FaultKind.TLS if "SSL" in str(exc) else FaultKind.CONNECT
                fault = NotPublished(kind, f"no connection to the broker: {str(exc)[:200]}")
        raise fault

    def _login(self) -> BrokerLogin:
        said = self._endpoint.mqtt
        # Of its own for each process: two that have the same one throw each other out.
        own = f"gw-{self._endpoint.endpoint_id[-8:]}-{secrets.token_hex(3)}"
        return BrokerLogin(
            client_id=said.get("client_id") or own,
            username=said.get("username", ""),
            password=said.get("password", ""),
            is_version_5=said.get("version", "5") == "5",
        )

    def _tls(self) -> NamedContext:
        context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = self._broker.target.host
        authorities = self._endpoint.mqtt.get("ca", "")
        if authorities:
            context.load_verify_locations(cadata=authorities)
        else:
            self._egress.trust(context)
        return context


class Brokers:
    """The connections of this process."""

    def __init__(self, client: EgressClient) -> None:
        self._client = client
        self._connections: dict[str, tuple[str, _Connection]] = {}

    async def publish(
        self, endpoint: Endpoint, publication: Publication, *, deadline_s: float
    ) -> Outcome:
        """Publish, and give what came of it after at most *deadline_s*, the connection included.

        An acknowledgement counts as an answer 200; everything else is a fault.
        """
        started_s = time.perf_counter()
        fault: NotPublished | None = None
        try:
            async with asyncio.timeout(deadline_s):
                await self._publish(endpoint, publication)
        except NotPublished as exc:
            fault = exc
        except TimeoutError:
            fault = NotPublished(FaultKind.TIMEOUT, f"no acknowledgement within {deadline_s:g} s")
        elapsed_ms = (time.perf_counter() - started_s) * 1e3
        if fault is not None:
            return Fault(kind=fault.kind, detail=str(fault), elapsed_ms=elapsed_ms)
        return Answer(status=200, body=b"PUBACK", elapsed_ms=elapsed_ms)

    async def aclose(self) -> None:
        """End all connections."""
        connections = [each for _, each in self._connections.values()]
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([each.ended for each in connections])

    async def _publish(self, endpoint: Endpoint, publication: Publication) -> None:
        connection = self._connection(endpoint)
        client = await asyncio.shield(connection.ready)
        async with connection.room:
            connection.used_s = time.monotonic()
            publishing = asyncio.ensure_future(
                client.publish_acknowledged(
                    publication.topic, publication.body, publication.properties
                )
            )
            try:
                await asyncio.wait(
                    {publishing, connection.ended}, return_when=asyncio.FIRST_COMPLETED
                )
                if not publishing.done():
                    raise NotPublished(FaultKind.RESET, "the connection to the broker is lost")
                publishing.result()
            finally:
                publishing.cancel()

    def _connection(self, endpoint: Endpoint) -> _Connection:
        """Give the endpoint's connection: a new one where it has changed, or the last one ended."""
        facts = repr((endpoint.url, sorted(endpoint.mqtt.items())))
        digest = hashlib.sha256(facts.encode()).hexdigest()
        known = self._connections.get(endpoint.endpoint_id)
        if known is not None:
            was, connection = known
            if was == digest and not connection.ended.done():
                return connection
            connection.close()
        connection = _Connection(self._client, parse_broker(endpoint.url), endpoint)
        self._connections[endpoint.endpoint_id] = (digest, connection)
        connection.ended.add_done_callback(lambda _: self._forget(endpoint, connection))
        return connection

    def _forget(self, endpoint: Endpoint, connection: _Connection) -> None:
        known = self._connections.get(endpoint.endpoint_id)
        if known is not None and known[1] is connection:
            del self._connections[endpoint.endpoint_id]
