"""A URL that somebody hands us, parsed once into what is dialled and what is sent.

Strict on purpose: where URL parsers disagree (user-info, backslashes, numbers as hosts), the URL is
refused, so that what was judged is what is dialled. Sentences in errors name the fault and never
repeat the URL: its path and query may hold secrets.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from egress.ranges import IPAddress
from pipeline.errors import InvalidRequest, TargetNotAllowed

MAX_URL_CHARACTERS = 2048
_MAX_HOST_CHARACTERS = 253
_DEFAULT_PORTS = {"http": 80, "https": 443}
# White space and control characters of any script, and the backslash, which browsers read as "/".
_UNCLEAN = re.compile(r"[\s\x00-\x20\x7f-\x9f\\]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
# What URL parsers read as an IPv4 address: 127.1, 0x7f.1 and 2130706433 are all loopback.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
# Everything a request target may hold as it is (RFC 3986), and "%", which begins an escape.
_KEPT_IN_PATH = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request goes.

    *host* is lower case: a DNS name, or an IP address without brackets. *path* begins with "/",
    is ASCII, holds the query and no fragment.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> IPAddress | None:
        """Give the host as an address, or None where it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """Give the value of the Host header: the port only where the scheme does not imply it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Parse *url*.

    Raises TargetNotAllowed for a scheme other than http and https and for user-info, InvalidRequest
    for everything else that is not an absolute URL with a host.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise _invalid(f"the URL is longer than {MAX_URL_CHARACTERS} characters")
    if _UNCLEAN.search(url):
        raise _invalid("the URL must not contain white space, control characters or backslashes")
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise _invalid("the URL cannot be parsed") from exc

    if parts.scheme not in _DEFAULT_PORTS:
        raise TargetNotAllowed("the URL's scheme must be http or https")
    if "@" in parts.netloc:
        raise TargetNotAllowed("the URL must not contain a user name or password")
    host, port = _split_authority(parts.netloc)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        scheme=parts.scheme,
        host=_parse_host(host),
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=quote(path, safe=_KEPT_IN_PATH),
    )


def without_query(url: str) -> str:
    """Give *url* without what may be secret in it: user-info, query and fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _split_authority(authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _invalid("the URL's host is not a bracketed IPv6 address")
        host, colon, port = host + bracket, rest[:1], rest[1:]
    else:
        host, colon, port = authority.partition(":")
    if not colon:
        return host, None
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise _invalid("the URL's port must be a number from 1 to 65535")
    return host, int(port)


def _parse_host(host: str) -> str:
    if host.startswith("["):
        try:
            address = ipaddress.IPv6Address(host[1:-1])
        except ValueError as exc:
            raise _invalid("the URL's host is not a bracketed IPv6 address") from exc
        if address.scope_id is not None:
            raise _invalid("the URL's host must not have a zone")
        return str(address)

    if not host:
        raise _invalid("the URL has no host")
    if not host.isascii():
        raise _invalid("the URL's host must be written in ASCII (its xn-- form)")
    host = host.lower()
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _parse_ipv4(host)
    if len(host) > _MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise _invalid("the URL's host is not a valid name")
    return host


def _parse_ipv4(host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as exc:
        raise _invalid("an IPv4 host must be written as four decimal numbers") from exc


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, field="url")
