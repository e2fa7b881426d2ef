"""What the annotations of handlers say, and how to say it back in an error."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from actorium.store.errors import ConfigurationError


def hints_of(method: Callable[..., Any], name: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return a handler's annotations as types; `names` are those that its class's surroundings define."""
    try:
        return typing.get_type_hints(method, localns=dict(names))
    except NameError as error:
        raise ConfigurationError(
            f"{name}: its annotations cannot be read ({error}): define or import that name before the class, "
            "outside `if TYPE_CHECKING`"
        ) from None


def is_proper_subclass(candidate: Any, base: type) -> bool:
    """Say whether a thing is a class below `base`."""
    return inspect.isclass(candidate) and issubclass(candidate, base) and candidate is not base


def shown(annotation: Any) -> str:
    """Return an annotation as a person would write it."""
    return getattr(annotation, "__name__", None) or str(annotation)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of `A | B`, or the one type there is."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def leaves(annotation: Any) -> Iterable[Any]:
    """Yield the types in a return annotation: through unions, list[…], tuple[…, ...], Iterable[…] and the like."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None or not parts or (inspect.isclass(origin) and issubclass(origin, msgspec.Struct)):
        yield annotation
        return
    for part in parts:
        yield from leaves(part)
