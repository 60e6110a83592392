"""A webhook receiver for a container of its own: writes each request down as a JSON line.

Run as a script with nothing but the standard library: ``python receiver.py FILE PORT``.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock


class Handler(BaseHTTPRequestHandler):
    """Takes every POST."""

    protocol_version = "HTTP/1.1"
    lock = Lock()
    file = Path("/received/requests.jsonl")

    def do_POST(self) -> None:
        """Write the request down, then thank for it."""
        body = self.rfile.read(int(self.headers["content-length"])).decode("utf-8")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.lock, self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"headers": headers, "body": body}) + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.file = Path(sys.argv[1])
    ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Handler).serve_forever()
