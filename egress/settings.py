"""What the operator can set about calling out: the way, and who is trusted on it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressSettings:
    """How addresses outside are reached. Which ones may be is ``GW_EGRESS_ALLOW``."""

    proxy: str = setting(
        "GW_EGRESS_PROXY",
        "",
        "An HTTP proxy that every outgoing connection goes through by CONNECT, such as "
        "`http://proxy.example.com:3128`, with `user:password@` before the host where it asks for "
        "them. Addresses are checked before all the same.",
        secret=True,
    )
    ca_file: str = setting(
        "GW_EGRESS_CA_FILE",
        "",
        "A PEM bundle of the only authorities to be trusted, instead of the system's.",
    )
    client_cert_file: str = setting(
        "GW_EGRESS_CLIENT_CERT_FILE",
        "",
        "A PEM file with a certificate, and its key unless that has a file of its own, that is "
        "shown to receivers which ask for one.",
    )
    client_key_file: str = setting(
        "GW_EGRESS_CLIENT_KEY_FILE", "", "The client certificate's key, as PEM without password."
    )
