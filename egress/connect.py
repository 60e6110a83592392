"""From a target to a connection: resolve once, judge every address, dial exactly a judged one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import certifi
import httpcore

from egress.policy import EgressPolicy, check_addresses
from egress.ranges import IPAddress
from egress.resolve import Resolver
from egress.stream import Dialler, Stream, TlsFailed
from egress.targets import Target

# An answer with dozens of addresses must not turn one attempt into a port scan.
_MAX_DIALLED = 4


def tls_context(
    ca_file: Path | None = None,
    *,
    client_cert_file: Path | None = None,
    client_key_file: Path | None = None,
) -> ssl.SSLContext:
    """Give a verifying context that trusts the system's authorities, or only those in *ca_file*.

    A receiver that asks for a certificate is shown *client_cert_file*. Raises OSError, ssl.SSLError
    among them, for files that cannot be used. A small image may have no authorities of its own;
    then those of certifi are trusted.
    """
    context = ssl.create_default_context(cafile=_authorities(ca_file))
    if client_cert_file is not None:
        # Without a prompt: nobody is there to type a password.
        context.load_cert_chain(client_cert_file, client_key_file, password="")
    context.set_alpn_protocols(["http/1.1"])
    return context


def trust(context: ssl.SSLContext, ca_file: Path | None = None) -> None:
    """Have *context* trust the same as :func:`tls_context`; raises OSError."""
    authorities = _authorities(ca_file)
    if authorities is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(authorities)


def _authorities(ca_file: Path | None) -> Path | None:
    """Give the file of authorities, None where the system's own are to be trusted."""
    system = ssl.get_default_verify_paths()
    if ca_file is None and system.cafile is None and system.capath is None:
        return Path(certifi.where())
    return ca_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """How connections are made; *time_limit_s* is for TCP and TLS over all addresses of a name."""

    policy: EgressPolicy
    resolver: Resolver
    dialler: Dialler
    tls: ssl.SSLContext
    time_limit_s: float

    async def connect(self, target: Target) -> Stream:
        """Connect to *target*.

        Raises TargetNotAllowed, ResolutionFailed, TlsFailed, httpcore.ConnectError or
        httpcore.ConnectTimeout. Nothing is dialled unless every address is allowed.
        """
        return await self._dial_first(await self.judge(target), target)

    async def judge(self, target: Target) -> Sequence[IPAddress]:
        """Resolve *target* once, and give the addresses that may be dialled, the best first.

        Raises TargetNotAllowed unless every address is allowed, and ResolutionFailed.
        """
        literal = target.address
        if literal is not None:
            addresses: Sequence[IPAddress] = (literal,)
        else:
            addresses = await self.resolver(target.host, target.port)
        return check_addresses(target, addresses, self.policy)[:_MAX_DIALLED]

    async def _dial_first(self, addresses: Sequence[IPAddress], target: Target) -> Stream:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self.time_limit_s
        for later in range(len(addresses) - 1, 0, -1):
            # A silent address leaves the later ones their share of the time.
            share_s = (deadline_s - loop.time()) / (later + 1)
            try:
                return await self._dial(addresses[-later - 1], target, share_s)
            except TlsFailed:
                raise
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._dial(addresses[-1], target, deadline_s - loop.time())

    async def _dial(self, address: IPAddress, target: Target, time_limit_s: float) -> Stream:
        return await self.dialler(address, target, self.tls, time_limit_s=max(0.0, time_limit_s))
