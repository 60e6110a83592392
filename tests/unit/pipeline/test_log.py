"""Log lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from pipeline.log import JsonFormatter, TextFormatter, configure


def make_record(event: str = "batch.inferred", **fields: object) -> logging.LogRecord:
    """Make a record as ``log.info(event, extra=fields)`` would."""
    record = logging.getLogger("t").makeRecord(
        "t", logging.INFO, "f.py", 1, event, (), None, extra=fields
    )
    record.created = 1_700_000_000.5
    return record


def with_error(record: logging.LogRecord) -> logging.LogRecord:
    """Add an exception with a traceback."""
    try:
        raise ValueError("broken")
    except ValueError:
        record.exc_info = sys.exc_info()
    return record


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Give the root logger, and put it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_is_one_object() -> None:
    """The event, the service, the moment and every field are in it, and nothing else."""
    text = JsonFormatter("dispatcher").format(make_record(size=8, model="安全帽"))

    assert json.loads(text) == {
        "at_unix_ms": 1_700_000_000_500,
        "level": "info",
        "service": "dispatcher",
        "event": "batch.inferred",
        "size": 8,
        "model": "安全帽",
    }
    assert "\n" not in text


def test_a_json_line_holds_the_traceback() -> None:
    """An exception stays within its line."""
    text = JsonFormatter("s").format(with_error(make_record(reason="a\nb")))

    assert "\n" not in text
    assert "ValueError: broken" in json.loads(text)["traceback"]


def test_a_json_line_takes_any_value() -> None:
    """A value that JSON does not know is written as text."""
    assert json.loads(JsonFormatter("s").format(make_record(of={1})))["of"] == "{1}"


def test_a_text_line_has_its_fields_as_pairs() -> None:
    """People read the level, the event, then name and value."""
    line = TextFormatter().format(make_record(size=8, model="安全帽"))

    assert line.endswith("info    batch.inferred size=8 model=安全帽")


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x85", "\u2028"])
def test_a_value_cannot_begin_a_line(character: str) -> None:
    """A line break or a terminal code in a value is written out, so no event can be forged."""
    line = TextFormatter().format(make_record(reason=f"a{character}12:00:00 info job.succeeded"))

    assert len(line.splitlines()) == 1
    assert character not in line
    assert "job.succeeded" in line


def test_a_text_line_is_followed_by_its_traceback() -> None:
    """People get the traceback as Python prints it."""
    text = TextFormatter().format(with_error(make_record()))

    assert text.splitlines()[1].startswith("Traceback")
    assert text.endswith("ValueError: broken")


def test_configuring_replaces_what_was_there(root: logging.Logger) -> None:
    """However often it is called, a line is written once, from the level that was asked for."""
    configure("s", level="info", style="text")
    configure("s", level="warning", style="json")

    assert len(root.handlers) == 1
    assert isinstance(root.handlers[0].formatter, JsonFormatter)
    assert not root.isEnabledFor(logging.INFO)
    assert root.isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("library", ["httpx", "httpcore", "uvicorn.access"])
def test_libraries_that_log_urls_are_silenced(root: logging.Logger, library: str) -> None:
    """Even at debug no library writes a URL with its query."""
    configure("s", level="debug", style="text")

    assert root.isEnabledFor(logging.DEBUG)
    assert not logging.getLogger(library).isEnabledFor(logging.INFO)
