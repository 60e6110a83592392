"""Lists of URLs: reading them, and what of a URL is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.urls import read_urls, url_label
from pipeline.batches.batch import SourceFault


@pytest.mark.parametrize("text", ["", "{}", '["a", 1]', '"a"'])
def test_a_list_that_cannot_be_read_is_told(text: str, tmp_path: Path) -> None:
    """What is no list of strings gives nothing."""
    path = tmp_path / "list"
    path.write_text(text)

    with pytest.raises(SourceFault):
        read_urls(path)
    with pytest.raises(SourceFault):
        read_urls(tmp_path / "missing")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@example.com:8/a/b.jpg?token=secret#x", "https://example.com:8/a/b.jpg"),
        ("http://[::1]/a", "http://[::1]/a"),
        ("http://[::1/a", "a malformed URL"),
        ("a\nb", "ab"),
    ],
)
def test_a_label_holds_no_secret(url: str, shown: str) -> None:
    """User-info, query and fragment are left out."""
    assert url_label(url) == shown
