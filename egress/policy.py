"""What may be dialled: public addresses, and private ranges that the operator opens by name.

The setting is a list of ranges, separated by commas or white space: a CIDR with its prefix length,
then optionally a colon and the ports, which are separated by commas::

    192.168.10.0/24:80,443 127.0.0.1/32:9000, fd00:1::/64

A word with a slash begins a range; a number alone is a further port of the range before it.

- A range without ports opens the same ports as a public address. One that reaches loopback must
  name its ports, since the box's own Redis and admin pages listen there.
- A named port is opened even where the table below refuses it: the operator has said so.
- Nothing opens a cloud metadata service, an unspecified, multicast or reserved address, or an IPv6
  form whose embedded IPv4 address is reached through tunnels (see :mod:`egress.ranges`).

On a public address any port is dialled but those of services that are no HTTP receivers and can be
harmed by a request: subscribers do listen on 8443, 5000 or 9001, so a short list of allowed ports
would refuse honest ones and protect nobody, while a POST to a mail server, Redis or a container
engine is an attack that we would carry out (cf. the "bad ports" of the Fetch standard).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from egress.ranges import LOOPBACK, IPAddress, IPNetwork, forbidden, judged_as, never_opened
from egress.targets import Target
from pipeline.errors import InvalidSettings, TargetNotAllowed

#: Ports that only a range with named ports opens.
REFUSED_PORTS = frozenset(
    {
        *(20, 21, 69, 115, 989, 990),  # file transfer
        *(22, 23, 512, 513, 514, 992, 3389, 5900),  # shells and screens
        *(25, 110, 119, 143, 465, 563, 587, 993, 995),  # mail and news
        *(53, 88, 123, 161, 179, 389, 636, 853),  # names, time, directories, routing
        *(111, 135, 137, 138, 139, 445, 548, 2049),  # remote procedures and file shares
        *(1433, 1521, 3306, 5432, 27017),  # databases
        *(6379, 6380, 11211, 16379, 26379),  # Redis and memcached
        *(2181, 4369, 5672, 9092, 61613),  # coordination and brokers
        *(2375, 2376, 2377, 2379, 2380, 6443, 10250, 10255),  # containers and their control planes
        *(6000, 6665, 6666, 6667, 6668, 6669, 6697, 9100),  # screens, chat, printers
    }
)
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedRange:
    """A range the operator opens; *ports* empty means those of a public address."""

    network: IPNetwork
    ports: frozenset[int] = frozenset()

    def opens(self, address: IPAddress, port: int) -> bool:
        """Whether *port* of *address* is opened by this range."""
        if address.version != self.network.version or address not in self.network:
            return False
        return port in self.ports if self.ports else port not in REFUSED_PORTS


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """Which addresses may be dialled. The default opens nothing that is not public."""

    opened: tuple[OpenedRange, ...] = ()

    @classmethod
    def parse(cls, setting: str) -> EgressPolicy:
        """Parse the operator's setting; raises InvalidSettings naming the entry that is wrong."""
        entries: list[tuple[str, IPNetwork, list[int]]] = []
        for word in re.split(r"[\s,]+", setting.strip(" \t\r\n,")):
            if "/" in word:
                network, ports = _parse_range(word)
                entries.append((word, network, ports))
            elif entries and entries[-1][2] and _PORT.fullmatch(word):
                entries[-1][2].append(_parse_port(word, entry=word))
            elif word:
                raise InvalidSettings(
                    f"{word!r} is not a range such as 192.168.10.0/24:80,443 or 127.0.0.1/32:9000"
                )
        for word, network, ports in entries:
            _check_range(word, network, ports)
        return cls(
            opened=tuple(
                OpenedRange(network=network, ports=frozenset(ports))
                for _, network, ports in entries
            )
        )


def check_addresses(
    target: Target, addresses: Sequence[IPAddress], policy: EgressPolicy
) -> tuple[IPAddress, ...]:
    """Give the addresses of one answer for *target* in the form in which they are to be dialled.

    Raises TargetNotAllowed if any of them is forbidden, or if there are none: an answer that mixes
    public and private addresses is an attack or a mistake, and choosing among them would be a
    gamble. An IPv4-mapped address comes back as its IPv4 address.
    """
    if not addresses:
        raise TargetNotAllowed("the host has no address")
    for address in addresses:
        _check(judged_as(address), target.port, policy)
    return tuple(_dialled(address) for address in addresses)


def check_literal(target: Target, policy: EgressPolicy) -> None:
    """Raise TargetNotAllowed where *target* can be refused without asking for its addresses.

    For telling a caller early; the check when dialling still stands, since a name's answer changes.
    """
    address = target.address
    if address is not None:
        check_addresses(target, (address,), policy)
    elif target.port in REFUSED_PORTS and not any(target.port in r.ports for r in policy.opened):
        raise _refused_port(target.port)


def _check(address: IPAddress, port: int, policy: EgressPolicy) -> None:
    kind = never_opened(address)
    if kind is not None:
        raise TargetNotAllowed(f"the host has {kind} address, which is never allowed")
    if any(opened.opens(address, port) for opened in policy.opened):
        return
    kind = forbidden(address)
    if kind is not None:
        raise TargetNotAllowed(
            f"the host has {kind} address, and the egress policy does not open it on port {port}"
        )
    if port in REFUSED_PORTS:
        raise _refused_port(port)


def _refused_port(port: int) -> TargetNotAllowed:
    return TargetNotAllowed(f"port {port} belongs to a service that is not an HTTP receiver")


def _dialled(address: IPAddress) -> IPAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def _parse_range(word: str) -> tuple[IPNetwork, list[int]]:
    base, _, rest = word.partition("/")
    length, colon, port = rest.partition(":")
    try:
        network = ipaddress.ip_network(f"{base}/{length}")
    except ValueError as exc:
        raise InvalidSettings(f"{word!r} is not a range: {exc}") from exc
    if colon and not _PORT.fullmatch(port):
        raise InvalidSettings(f"{word!r}: {port!r} is not a port")
    return network, [_parse_port(port, entry=word)] if colon else []


def _parse_port(text: str, *, entry: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise InvalidSettings(f"{entry!r}: a port is a number from 1 to 65535")
    return port


def _check_range(word: str, network: IPNetwork, ports: list[int]) -> None:
    if judged_as(network[0]).version != network.version:
        raise InvalidSettings(f"{word!r}: write the range of the embedded IPv4 addresses instead")
    first, last = never_opened(network[0]), never_opened(network[-1])
    if first is not None and first == last:
        raise InvalidSettings(f"{word!r}: {first} address is never allowed")
    reaches_loopback = any(
        network.version == loopback.version and network.overlaps(loopback) for loopback in LOOPBACK
    )
    if reaches_loopback and not ports:
        raise InvalidSettings(f"{word!r} reaches loopback and must name its ports")
