"""Which addresses are not the public internet: explicit tables, and what an IPv6 address embeds.

``ipaddress.is_global`` is not asked: on CPython 3.11 it calls NAT64 and 6to4 forms of loopback,
site-local addresses and multicast global. The tables are the union of the IANA special-purpose
registries (RFC 6890 and successors) with what is not global unicast at all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Networks with the phrase that completes "the host has ... address".
RangeTable = tuple[tuple[IPNetwork, str], ...]


def _table(rows: Iterable[tuple[str, str]]) -> RangeTable:
    return tuple((ipaddress.ip_network(cidr), kind) for cidr, kind in rows)


#: Never dialled, whatever the operator opens: credentials of the machine itself, addresses that
#: name no single host, and wrappings whose way through the network nobody can vouch for.
NEVER_OPENED: RangeTable = _table(
    (
        ("0.0.0.0/8", "an unspecified"),  # Linux dials 0.0.0.0 as loopback
        ("100.100.100.200/32", "a cloud metadata"),  # Alibaba
        ("168.63.129.16/32", "a cloud metadata"),  # Azure, although of a public range
        ("169.254.169.254/32", "a cloud metadata"),
        ("169.254.170.2/32", "a cloud metadata"),  # ECS task credentials
        ("169.254.170.23/32", "a cloud metadata"),  # EKS pod identity
        ("192.0.0.192/32", "a cloud metadata"),  # Oracle
        ("224.0.0.0/4", "a multicast"),
        ("240.0.0.0/4", "a reserved"),  # with broadcast
        ("::/128", "an unspecified"),
        ("fd00:ec2::254/128", "a cloud metadata"),
        ("fd00:ec2::23/128", "a cloud metadata"),
        ("fd20:ce::254/128", "a cloud metadata"),  # Google
        ("ff00::/8", "a multicast"),
        # Local-use NAT64 (RFC 8215) embeds at a place that only its translator knows.
        ("64:ff9b:1::/48", "a local NAT64"),
        ("2001::/32", "a Teredo"),
        ("2002::/16", "a 6to4"),
    )
)

#: Dialled only where the operator opens them. Rows are in order: the first that fits is named.
FORBIDDEN: RangeTable = NEVER_OPENED + _table(
    (
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a shared (carrier)"),
        ("127.0.0.0/8", "a loopback"),
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("::1/128", "a loopback"),
        ("100::/64", "a discard-only"),
        ("2001::/23", "a reserved"),
        ("2001:db8::/32", "a documentation"),
        ("3fff::/20", "a documentation"),
        ("5f00::/16", "a segment-routing"),
        ("fc00::/7", "a private"),
        ("fe80::/10", "a link-local"),
        ("fec0::/10", "a site-local"),
        # Global unicast is 2000::/3; the rest of the space is not assigned to hosts.
        ("::/3", "a reserved"),
        ("4000::/2", "a reserved"),
        ("8000::/1", "a reserved"),
    )
)

LOOPBACK: tuple[IPNetwork, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)

# RFC 4291 2.5.5.1, deprecated: "::127.0.0.1" looks like a v6 address to a naive check.
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def judged_as(address: IPAddress) -> IPAddress:
    """Give the address whose host answers when *address* is dialled.

    The IPv4 address of an IPv4-mapped one (the kernel dials it) and of a well-known NAT64 one (the
    translator does, RFC 6052: so do networks without IPv4 reach public IPv4 hosts). A scope id is
    dropped. Anything else stands for itself.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return ipaddress.IPv6Address(int(address))


def never_opened(address: IPAddress) -> str | None:
    """Give the kind of an address that no setting opens, or None. *address* is a judged one."""
    # "::1" lies in the same /96 and is loopback, which may be opened.
    if address in _IPV4_COMPATIBLE and int(address) > 1:
        return "an IPv4-compatible"
    return kind_of(address, NEVER_OPENED)


def forbidden(address: IPAddress) -> str | None:
    """Give the kind of an address that is dialled only where the operator opens it, or None."""
    return kind_of(address, FORBIDDEN)


def kind_of(address: IPAddress, table: RangeTable) -> str | None:
    """Give the phrase of the first row of *table* that holds *address*, or None."""
    for network, kind in table:
        if address.version == network.version and address in network:
            return kind
    return None
