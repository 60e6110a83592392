"""Pictures and archives as bodies: read piece by piece, and again from the beginning if need be."""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeAlias
from urllib.parse import quote

from gw.client.wire import Body

#: A picture: its bytes, the path of its file, or an open file that gives bytes.
Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes]

#: Told of each piece that goes out: bytes sent so far, and of how many (None where unknown). When
#: a request is sent again it begins anew.
Progress: TypeAlias = Callable[[int, int | None], None]

BINARY_TYPE: Final = "application/octet-stream"
_PIECE_BYTES: Final = 256 * 1024


class FileBody:
    """One source as it is.

    A file that cannot be rewound is sent once and no more; one that can is sent from where it
    stood. Raises OSError for a path that cannot be read.
    """

    def __init__(self, source: Source, *, content_type: str = BINARY_TYPE) -> None:
        self.content_type = content_type
        self._data: memoryview | None = None
        self._path: Path | None = None
        self._file: IO[bytes] | None = None
        self._start = 0
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._data = memoryview(source).cast("B")
            self.length_bytes: int | None = len(self._data)
            self.can_repeat = True
        elif isinstance(source, (str, os.PathLike)):
            self._path = Path(source)
            self.length_bytes = self._path.stat().st_size
            self.can_repeat = True
        else:
            self._file = source
            self.can_repeat = source.seekable()
            self.length_bytes = None
            if self.can_repeat:
                self._start = source.tell()
                self.length_bytes = source.seek(0, io.SEEK_END) - self._start

    @property
    def name(self) -> str:
        """The file's name, "" where there is none."""
        name = self._path.name if self._path else getattr(self._file, "name", "")
        return os.path.basename(name) if isinstance(name, str) else ""

    def pieces(self) -> Iterator[bytes]:
        """Give it from its beginning."""
        if self._data is not None:
            for start in range(0, len(self._data), _PIECE_BYTES):
                yield bytes(self._data[start : start + _PIECE_BYTES])
            return
        with self._opened() as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if self._file is not None:
            if self.can_repeat:
                self._file.seek(self._start)
            yield self._file
        elif self._path is not None:
            with self._path.open("rb") as file:
                yield file


class FormBody:
    """A form (RFC 7578): fields, then one or more files."""

    def __init__(self, fields: Mapping[str, str], files: Sequence[FileBody], *, name: str) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._parts: list[bytes | FileBody] = []
        for key, value in fields.items():
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n'
            self._parts.append(f"{head}{value}\r\n".encode())
        for number, file in enumerate(files):
            # The name is of no use to anybody but a reader of dumps; whatever it holds, it is safe.
            filename = quote(file.name or f"{number}", safe=" .-_")
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}";'
                f' filename="{filename}"\r\nContent-Type: {file.content_type}\r\n\r\n'
            )
            self._parts += [head.encode(), file, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        self.can_repeat = all(file.can_repeat for file in files)
        lengths = [
            len(part) if isinstance(part, bytes) else part.length_bytes for part in self._parts
        ]
        known = [length for length in lengths if length is not None]
        self.length_bytes: int | None = sum(known) if len(known) == len(lengths) else None

    def pieces(self) -> Iterator[bytes]:
        """Give it from its beginning."""
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from part.pieces()


class WatchedBody:
    """A body that tells how much of it has gone out."""

    def __init__(self, body: Body, progress: Progress) -> None:
        self._body = body
        self._progress = progress
        self.content_type = body.content_type
        self.length_bytes = body.length_bytes
        self.can_repeat = body.can_repeat

    def pieces(self) -> Iterator[bytes]:
        """Give it from its beginning."""
        sent_bytes = 0
        for piece in self._body.pieces():
            yield piece
            # The next piece is asked for when this one is on its way.
            sent_bytes += len(piece)
            self._progress(sent_bytes, self.length_bytes)


def watched(body: Body, progress: Progress | None) -> Body:
    """Have *progress* told of *body*, if there is anybody to tell."""
    return body if progress is None else WatchedBody(body, progress)


def json_text(value: Any) -> str:
    """Give compact JSON text of ASCII alone, as a header may carry it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
