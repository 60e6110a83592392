"""Device profiles: how long the played device takes for a model."""

from __future__ import annotations

import fnmatch

from acl._configuration import Profile


def profile_of(profiles: tuple[Profile, ...], *names: str) -> Profile | None:
    """Give the first profile whose pattern fits one of the model's *names*."""
    for profile in profiles:
        if any(fnmatch.fnmatchcase(name, profile.model) for name in names if name):
            return profile
    return None


def duration_s(profile: Profile, items: int, *, time_scale: float) -> float:
    """Give how long a batch of *items* keeps the device."""
    return (profile.fixed_ms + profile.item_ms * items) / 1000 * time_scale
