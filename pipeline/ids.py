"""Identifiers: 26 characters, sortable by time, safe in URLs, headers and file names.

The form is a ULID (github.com/ulid/spec) in lower case: 48 bits of Unix milliseconds, then 80
random bits, in Crockford's base 32. A prefix tells people what an id names.
"""

from __future__ import annotations

import re
import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")


def new_id(prefix: str, unix_ms: int) -> str:
    """Make an id such as ``job_01jd...``; *prefix* is two to four lower-case letters."""
    number = (unix_ms << 80) | secrets.randbits(80)
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5)]
    return f"{prefix}_{''.join(digits)}"


def is_id(text: str, prefix: str) -> bool:
    """Tell whether *text* has the form of an id; asked before it becomes part of a key."""
    return text.startswith(f"{prefix}_") and _ID.fullmatch(text) is not None
