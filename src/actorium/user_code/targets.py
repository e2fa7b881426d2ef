"""Finds the application of a CLI command by the name of a runtime, a factory or an ASGI application."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from actorium.application import Runtime
from actorium.store.errors import ConfigurationError
from actorium.user_code.imports import blamed, look_here

_CALLS_MAX = 8  # how deep lifespans may be nested
_WHAT_TO_NAME = "a Runtime, an ASGI application that holds one, or a function that returns either"


def load_app(reference: str) -> Runtime:
    """Return the runtime that `module:name` refers to, not started.

    The name is that of a Runtime, of an ASGI application whose state or lifespan holds one (Starlette, FastAPI,
    Litestar), or of a function without parameters that returns either. The current directory is searched for the
    module, too.

    Raises ConfigurationError if there is no runtime, or more than one.
    """
    module_name, colon, name = reference.partition(":")
    if not (module_name and colon and name):
        raise ConfigurationError(f"{reference!r} is not an application: write module:name, such as shop.app:runtime")
    found: Any = _module(module_name)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{reference!r}: {_shown(found)} has no {part!r}")
        found = getattr(found, part)
    if _is_factory(found):
        found = _made(reference, found)
    if isinstance(found, Runtime):
        return found
    if not _is_asgi(found):
        raise ConfigurationError(f"{reference!r} is {_shown(found)}: name {_WHAT_TO_NAME}")
    return _held(reference, found)


def _module(name: str) -> ModuleType:
    here = look_here()
    with blamed(f"{name} cannot be imported"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
                raise
            absent = missing.name
    raise ConfigurationError(f"there is no module {absent!r}, searched from {here}")


def _is_factory(thing: Any) -> bool:
    return callable(thing) and not isinstance(thing, Runtime) and not _is_asgi(thing)


def _is_asgi(thing: Any) -> bool:
    """Return whether an object is an ASGI application: its call is async and takes a scope and two functions."""
    if not callable(thing) or inspect.isclass(thing) or inspect.isroutine(thing):
        return False
    if not inspect.iscoroutinefunction(type(thing).__call__):
        return False
    try:
        inspect.signature(thing).bind({}, None, None)
    except TypeError:
        return False
    return True


def _made(reference: str, factory: Callable[..., Any]) -> Any:
    if inspect.iscoroutinefunction(factory):
        raise ConfigurationError(f"{reference!r} is async: name a function that returns its Runtime without waiting")
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{reference!r} cannot be called without arguments: {error}") from error
    with blamed(f"{reference!r} failed"):
        return factory()


def _held(reference: str, app: Any) -> Runtime:
    """Return the only runtime that an ASGI application holds."""
    found: dict[int, tuple[str, Runtime]] = {}
    while True:
        for place, runtime in (*_in_state(app), *_in_lifespan(app)):
            found.setdefault(id(runtime), (place, runtime))
        wrapped = getattr(app, "app", None)  # middleware around an application
        if found or not _is_asgi(wrapped):
            break
        app = wrapped
    if not found:
        raise ConfigurationError(
            f"{reference!r} is an application ({_shown(app)}) whose state and lifespan hold no Runtime: pass "
            "runtime.lifespan to it, set app.state.runtime when it is created, or name the Runtime itself"
        )
    if len(found) > 1:
        places = ", ".join(place for place, _ in found.values())
        raise ConfigurationError(f"{reference!r} holds {len(found)} Runtimes ({places}): name one of them")
    ((_, runtime),) = found.values()
    return runtime


def _in_state(app: Any) -> Iterator[tuple[str, Runtime]]:
    """Yield the runtimes in the state of an application, which is a mapping or wraps one."""
    state = getattr(app, "state", None)
    values = getattr(state, "_state", state)  # Starlette's and Litestar's State keep their dictionary there
    if isinstance(values, Mapping):
        for name, value in values.items():
            if isinstance(value, Runtime):
                yield f"app.state.{name}", value


def _in_lifespan(app: Any) -> Iterator[tuple[str, Runtime]]:
    """Yield the runtimes in the lifespan of an application: Starlette and FastAPI have one, Litestar has a list."""
    lifespans = [getattr(getattr(app, "router", None), "lifespan_context", None)]
    lifespans += getattr(app, "_lifespan_managers", ())  # Litestar has no public name for it
    for lifespan in lifespans:
        for runtime in _reached_from(lifespan, _CALLS_MAX):
            yield "its lifespan", runtime


def _reached_from(thing: Any, calls: int) -> Iterator[Runtime]:
    """Yield the runtimes that a lifespan uses as its object, an argument or a variable; follow nested lifespans."""
    if isinstance(thing, Runtime):
        yield thing
    elif calls:
        for part in _parts(thing):
            yield from _reached_from(part, calls - 1)


def _parts(thing: Any) -> Iterable[Any]:
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if inspect.ismethod(thing):
        return [thing.__self__]
    if not inspect.isfunction(thing):
        return []
    function = inspect.unwrap(thing)
    variables = inspect.getclosurevars(function)
    # Global functions are not followed: they could lead anywhere.
    runtimes = [value for value in variables.globals.values() if isinstance(value, Runtime)]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*variables.nonlocals.values(), *runtimes, *defaults]


def _shown(thing: object) -> str:
    return str(getattr(thing, "__name__", None) or type(thing).__name__)
