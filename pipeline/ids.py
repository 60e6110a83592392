"""Identifiers: 26 characters, sortable by time, safe in URLs, headers and file names.

The form is a ULID (github.com/ulid/spec) in lower case: 48 bits of Unix milliseconds, then 80
random bits, in Crockford's base 32. A prefix tells people what an id names.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str, unix_ms: int) -> str:
    """Make an id such as ``job_01jd...``; *prefix* is two to five lower-case letters."""
    return _written(prefix, (unix_ms << 80) | secrets.randbits(80))


def derived_id(prefix: str, unix_ms: int, *, of: str) -> str:
    """Make the id that *of* always gets: whoever repeats a step after a crash names the same thing.

    >>> derived_id("job", 1_700_000_000_000, of="batch_x:7")
    'job_01hf7yat00281crbxwptz715s0'
    """
    random_bits = int.from_bytes(hashlib.sha256(of.encode()).digest()[:10])
    return _written(prefix, (unix_ms << 80) | random_bits)


def first_id(prefix: str, unix_ms: int) -> str:
    """Give the bound before which every id of an earlier millisecond sorts, and no later one."""
    return _written(prefix, unix_ms << 80)


def event_id_of(job_id: str) -> str:
    """Give the id of the event that is a job's end; a job has one."""
    return f"evt_{job_id.partition('_')[2]}"


def unix_ms_of(text: str) -> int:
    """Give the moment that an id holds."""
    number = 0
    for digit in text.partition("_")[2][:10]:
        number = number << 5 | _ALPHABET.index(digit)
    return number


def is_id(text: str, prefix: str) -> bool:
    """Tell whether *text* has the form of an id; asked before it becomes part of a key."""
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None


def _written(prefix: str, number: int) -> str:
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5)]
    return f"{prefix}_{''.join(digits)}"
