"""Reads the annotations of handlers, formats them for error messages, and refuses names that are used twice."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from actorium.store.errors import ConfigurationError


def hints_of(method: Callable[..., Any], name: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of a handler as types; `names` are the local names around its class."""
    try:
        return typing.get_type_hints(method, localns=dict(names))
    except NameError as error:
        raise ConfigurationError(
            f"{name}: its annotations cannot be read ({error}): define or import that name before the class, "
            "outside `if TYPE_CHECKING`"
        ) from None


def is_proper_subclass(candidate: Any, base: type) -> bool:
    """Return whether `thing` is a class derived from `base`."""
    return inspect.isclass(candidate) and issubclass(candidate, base) and candidate is not base


def shown(annotation: Any) -> str:
    """Return an annotation as it is written in source code."""
    return getattr(annotation, "__name__", None) or str(annotation)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union `A | B`, or the single type."""
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


MARK = "__actorium_"
"""The prefix of the marks that decorators set on handlers."""


class ClassBody(dict[str, Any]):
    """The namespace of a class with handlers; raises ConfigurationError if a handler's name is already taken.

    In Python, a second method with the same name silently replaces the first, so a handler would be lost.
    """

    def __init__(self, owner: str) -> None:
        super().__init__()
        self._owner = owner

    def __setitem__(self, name: str, value: Any) -> None:
        is_field = name in self.get("__annotations__", ())
        known = self.get(name)
        if (known is not None or is_field) and known is not value and (_is_handler(known) or _is_handler(value)):
            raise ConfigurationError(
                f"{self._owner}.{name} is both {_shown(known, is_field)} and {_shown(value, False)}: the second "
                "replaces the first; rename one"
            )
        super().__setitem__(name, value)


class HandlerMeta(msgspec.StructMeta):
    """Runs the bodies of classes with handlers in a `ClassBody`."""

    @classmethod
    def __prepare__(metacls, name: str, bases: tuple[type, ...], /, **options: Any) -> Any:
        return ClassBody(name)


def refuse_reserved(owner: str, annotations: Mapping[str, Any], reserved: Collection[str]) -> None:
    """Raise ConfigurationError for a field whose name the runtime uses itself."""
    for name, annotation in annotations.items():
        if name in reserved and "ClassVar" not in str(annotation):
            raise ConfigurationError(
                f"{owner}.{name} cannot be declared as a field: the runtime sets `{name}` itself; give the field "
                "another name"
            )


def _is_handler(value: object) -> bool:
    return any(name.startswith(MARK) for name in (*getattr(value, "__dict__", ()), *vars(type(value))))


def _shown(value: object, is_field: bool) -> str:
    if is_field or not (callable(value) or _is_handler(value)):
        return "a field"
    code = getattr(getattr(value, "method", value), "__code__", None)
    return f"a method (line {code.co_firstlineno})" if code is not None else "a method"
