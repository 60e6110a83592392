"""TCP ports on the loopback address: which are free."""

from __future__ import annotations

import socket
import zlib
from typing import Final

#: Below the range from which kernels take ports for outgoing connections, so that the port is
#: still free when its server is restarted.
_FIRST_PORT: Final = 16380
_PORTS: Final = 1000


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen on *port* now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are only lingering counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(owner: str) -> int:
    """Find a free port: for one *owner* the same each time if nothing else takes it.

    Different owners begin their search at different places, so that two that search at the same
    moment seldom find the same port.
    """
    start = zlib.crc32(owner.encode())
    for offset in range(_PORTS):
        port = _FIRST_PORT + (start + offset) % _PORTS
        if is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return port
