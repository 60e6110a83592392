"""API keys and ids."""

from __future__ import annotations

import pytest

from pipeline.access.keys import key_of_token, make_key, proves
from pipeline.ids import is_id, new_id


def test_a_token_proves_its_own_key_only() -> None:
    """The secret in a token opens its record and no other."""
    token, record = make_key(tenant="default", description="", now_unix_ms=1)
    other_token, _ = make_key(tenant="default", description="", now_unix_ms=1)
    split, other_split = key_of_token(token), key_of_token(other_token)

    assert split is not None
    assert other_split is not None
    assert split[0] == record.key_id
    assert proves(record, split[1], now_unix_ms=8)
    assert not proves(record, other_split[1], now_unix_ms=8)


def test_the_record_holds_no_secret() -> None:
    """What is stored and printed cannot be used as a key."""
    token, record = make_key(tenant="default", description="", now_unix_ms=1)

    assert token.split("_", 2)[2] not in record.secret_sha256
    assert record.secret_sha256 not in repr(record)


@pytest.mark.parametrize("text", ["", "gw_", "gw_0123456z_" + "a" * 43, "x" * 1000, "gw_01234567_"])
def test_other_texts_are_no_tokens(text: str) -> None:
    """Text without a token's form is told apart before anything is looked up."""
    assert key_of_token(text) is None


def test_ids_are_unique_and_sort_by_time() -> None:
    """A later id is the greater string; two of one moment differ."""
    first, second, later = new_id("job", 1000), new_id("job", 1000), new_id("job", 1001)

    assert len({first, second, later}) == 3
    assert max(first, second) < later
    assert is_id(first, "job")


@pytest.mark.parametrize(
    "text", ["", "job_", "job_" + "0" * 25, "msg_" + "0" * 26, "job_" + "U" * 26]
)
def test_other_texts_are_no_job_ids(text: str) -> None:
    """A path segment that is not an id never becomes part of a key."""
    assert not is_id(text, "job")
