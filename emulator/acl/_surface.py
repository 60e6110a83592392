"""What makes a Python function behave as a call of the binding.

Positional arguments only; a wrong count or type is ``TypeError("acl.X args parse failed")``. The
parameter annotations say what is taken: ``int`` is a C ``unsigned long`` (an ``int`` and nothing
like it), ``SupportsIndex`` a C ``int`` (anything with ``__index__``), ``float`` a C ``float``.
"""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Callable
from operator import index
from typing import Any, ParamSpec, SupportsIndex, TypeVar

from acl._findings import Misuse

P = ParamSpec("P")
R = TypeVar("R")

_UNSIGNED_LONG = (1 << 64) - 1


class _Forked:
    """Whether this process came out of a fork of one that had called acl.init."""

    initialised = False
    yes = False


def note_initialised(*, initialised: bool) -> None:
    """Remember that a fork from now on makes an unusable child (or no longer does)."""
    _Forked.initialised = initialised


def forked() -> bool:
    """Whether this process is a forked child that must not call acl."""
    return _Forked.yes


def _after_fork_in_child() -> None:
    _Forked.yes = _Forked.initialised


os.register_at_fork(after_in_child=_after_fork_in_child)


def refuse_in_forked_child(name: str) -> None:
    """Raise Misuse if this process is a fork of one that had initialised acl."""
    if _Forked.yes:
        raise Misuse(f"{name}: this process was forked after acl.init; start it by spawn instead")


def _unsigned_long(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value & _UNSIGNED_LONG


def _real(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _exactly(kind: type) -> Callable[[object], object]:
    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise TypeError
        return value

    return check


def _parser(hint: object) -> tuple[type | None, Callable[[Any], object] | None]:
    """Give the type that needs no conversion, and what converts or refuses the rest."""
    if hint is int:
        return None, _unsigned_long
    if hint is SupportsIndex:
        return int, index
    if hint is float:
        return float, _real
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type) and origin is not object:
        return origin, _exactly(origin)
    return object, None


def exported(module: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a call of *module* (``acl.rt``): positional, type-checked, fork-checked."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = f"{module}.{function.__name__}"
        parameters = inspect.signature(function).parameters.values()
        hints = typing.get_type_hints(function)
        parsers = [_parser(hints.get(parameter.name)) for parameter in parameters]
        most = len(parsers)
        untyped = typing.cast("Callable[..., R]", function)
        least = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)

        @functools.wraps(function)
        def call(*given: Any) -> R:
            if _Forked.yes:
                refuse_in_forked_child(name)
            if not least <= len(given) <= most:
                raise TypeError(f"{name} args parse failed")
            taken = list(given)
            for position, (value, (plain, parse)) in enumerate(zip(given, parsers, strict=False)):
                if parse is None or (plain is not None and type(value) is plain):
                    continue
                try:
                    taken[position] = parse(value)
                except TypeError:
                    raise TypeError(f"{name} args parse failed") from None
            return untyped(*taken)

        del call.__wrapped__
        call.__module__ = module
        return typing.cast("Callable[P, R]", call)

    return decorate
