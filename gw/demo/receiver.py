"""A webhook receiver on loopback, as a subscriber would write it.

Every request is verified with the reference library of Standard Webhooks, which shares no code
with gw's own signing. ``WEBHOOK_SECRET=whsec_... python -m gw.demo.receiver`` runs it by itself and
prints what arrives.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Final, Self

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_LOOPBACK: Final = "127.0.0.1"

#: Larger announcements than gw ever makes are not read.
_BODY_MAX_BYTES: Final = 8 * 1024 * 1024
_READ_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One verified webhook. *webhook_id* is the same in every attempt of one announcement."""

    webhook_id: str
    event: str
    job_id: str
    result: Any = field(repr=False)
    body: bytes = field(repr=False)


class Ledger:
    """Verifies requests and keeps account of them. Several threads may use it."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._lock = threading.Lock()
        self._receipts: dict[str, Receipt] = {}
        self._times: Counter[str] = Counter()
        self._refused = 0

    @property
    def refused(self) -> int:
        """How many requests could not be verified."""
        return self._refused

    @property
    def duplicates(self) -> int:
        """How many verified requests carried an id that was known already."""
        with self._lock:
            return self._times.total() - len(self._times)

    def receipt(self, webhook_id: str) -> Receipt | None:
        """Give what was first verified under *webhook_id*, None before that."""
        with self._lock:
            return self._receipts.get(webhook_id)

    def take(self, headers: Mapping[str, str], body: bytes) -> Receipt | None:
        """Verify one request, header names in lower case; None if it is not genuine."""
        receipt = self._verified(headers, body)
        with self._lock:
            if receipt is None:
                self._refused += 1
            else:
                self._times[receipt.webhook_id] += 1
                self._receipts.setdefault(receipt.webhook_id, receipt)
        return receipt

    def _verified(self, headers: Mapping[str, str], body: bytes) -> Receipt | None:
        try:
            event = self._webhook.verify(body, dict(headers))
            data = event["data"]
            return Receipt(
                webhook_id=headers["webhook-id"],
                event=str(event["type"]),
                job_id=str(data["id"]),
                result=data.get("result"),
                body=body,
            )
        # The library lets ValueError out for signatures that are no base64 or hold no comma.
        except (WebhookVerificationError, ValueError, LookupError, TypeError, AttributeError):
            return None


class Receiver:
    """The server, as a context. 204 to what is genuine, 401 to the rest. *port* 0 takes any."""

    def __init__(
        self, secret: str, *, port: int = 0, tell: Callable[[Receipt], None] = lambda _: None
    ) -> None:
        self.ledger = Ledger(secret)
        routes = type("_Routes", (_Routes,), {"ledger": self.ledger, "tell": staticmethod(tell)})
        self._server = ThreadingHTTPServer((_LOOPBACK, port), routes)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True
        )

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Where webhooks are to be sent."""
        return f"http://{_LOOPBACK}:{self.port}/webhooks"


class _Routes(BaseHTTPRequestHandler):
    ledger: ClassVar[Ledger]
    tell: ClassVar[Callable[[Receipt], None]]
    timeout = _READ_PATIENCE_S

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _BODY_MAX_BYTES:
            self._answer(413 if length.isdecimal() else 411)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receipt = self.ledger.take(headers, body)
        if receipt is not None:
            type(self).tell(receipt)
        self._answer(401 if receipt is None else 204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what matters is told as a receipt."""


def main() -> None:
    """Print every verified webhook until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m gw.demo.receiver",
        description="Receive webhooks on loopback, verify them, print them.",
    )
    parser.add_argument("--port", type=int, default=9000, help="where to listen [9000]")
    port: int = parser.parse_args().port
    secret = os.environ.get("WEBHOOK_SECRET", "")
    if not secret.startswith("whsec_"):
        sys.exit("set WEBHOOK_SECRET to the whsec_... that signs the webhooks")
    with Receiver(secret, port=port, tell=_print) as receiver:
        print(f"listening on {receiver.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


def _print(receipt: Receipt) -> None:
    document = json.dumps(json.loads(receipt.body), ensure_ascii=False)
    print(f"verified {receipt.webhook_id}: {document}", flush=True)


if __name__ == "__main__":
    main()
