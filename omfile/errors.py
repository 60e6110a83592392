"""What can be wrong with an OM file.

::

    OmError                 the base: one sentence that says what is wrong and what to do
    ├── UnreadableOm            the file cannot be opened or read
    ├── NotAnOm                 the bytes are something else
    ├── TruncatedOm             bytes are missing at the end
    ├── EncryptedOm             the payload is encrypted
    ├── MalformedOm             the header is right, and what follows contradicts it
    ├── WrongSoc                built for another chip
    ├── TooNewForCann           built by a newer CANN than the one that is to run it
    ├── InvalidAipp             a pixel-unit configuration that cannot be read
    └── InvalidRecipe           a synthetic file that no compiler could have written
"""

from __future__ import annotations


class OmError(Exception):
    """The base of the tree. ``str(error)`` is one sentence with what to do."""


class UnreadableOm(OmError):
    """The file cannot be opened or read."""


class NotAnOm(OmError):
    """The bytes are not an OM file."""


class TruncatedOm(OmError):
    """The file ends before its header says."""


class EncryptedOm(OmError):
    """The payload is encrypted: nothing in it can be checked."""


class MalformedOm(OmError):
    """The header is an OM's, but the parts contradict each other or pass a limit."""


class WrongSoc(OmError):
    """The model was built for another chip."""


class TooNewForCann(OmError):
    """The model was built by a newer CANN than the one that is to run it."""


class InvalidAipp(OmError):
    """The text is not a configuration of the pixel unit."""


class InvalidRecipe(OmError):
    """A synthetic OM was asked for that no compiler could have written."""
