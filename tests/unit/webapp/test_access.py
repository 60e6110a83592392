"""Telling who is calling."""

from __future__ import annotations

import pytest

from pipeline.access.keys import make_key, proves
from pipeline.errors import AccessDenied
from webapp.access import bearer_token


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_a_bearer_token_is_read(header: str) -> None:
    """The scheme's case does not matter."""
    assert bearer_token(header) == "abc"


@pytest.mark.parametrize("header", ["", "abc", "Bearer", "Bearer ", "Basic abc"])
def test_anything_else_is_denied(header: str) -> None:
    """Other schemes and empty tokens are no key, and the answer never repeats them."""
    with pytest.raises(AccessDenied) as caught:
        bearer_token(header)

    assert "abc" not in str(caught.value)


def test_a_key_is_proved_by_its_own_secret_alone() -> None:
    """Another key's secret does not do."""
    token, record = make_key(tenant="a", description="", now_unix_ms=1)
    other, _ = make_key(tenant="a", description="", now_unix_ms=1)

    assert proves(record, token.split("_", 2)[2], now_unix_ms=8)
    assert not proves(record, other.split("_", 2)[2], now_unix_ms=8)
