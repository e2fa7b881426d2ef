"""`ErrorWire`: encode an error for another process, and rebuild it there."""

from __future__ import annotations

from collections import deque
from typing import Any, get_type_hints

import msgspec

from actorium.store.errors import ActoriumError
from actorium.store.events import as_json
from actorium.store.raised import let_through, masked, repr_of, text_of

_DEPTH_MAX = 16


class ErrorWire(msgspec.Struct, frozen=True):
    """An error as values that JSON can represent.

    lineage: the names of its class and of its base classes, up to the branch of the hierarchy.
    message: the message of the error.
    fields: its attributes; text for those that JSON cannot represent.
    """

    lineage: tuple[str, ...]
    message: str
    fields: dict[str, Any] = {}


def error_to_wire(error: ActoriumError) -> ErrorWire:
    """Encode an error; its cause and its traceback are not included."""
    lineage = [one.__name__ for one in type(error).__mro__ if issubclass(one, ActoriumError)]
    fields = {text_of(name): plain(value) for name, value in vars(error).items() if not name.startswith("__")}
    return ErrorWire(tuple(lineage), text_of(error.message), fields)


def error_from_wire(wire: ErrorWire) -> ActoriumError:
    """Return the decoded error: of the same class, or of the nearest base class that this process knows."""
    known = _classes()
    for name in wire.lineage:
        error_class = known.get(name)
        if error_class is not None and (fields := _fields_of(error_class, wire.fields)) is not None:
            return error_class.restored((wire.message,), fields)
    return ActoriumError(wire.message)


def plain(value: Any, depth: int = _DEPTH_MAX) -> Any:
    """Return a value in JSON's types: unchanged if JSON can carry it, otherwise as text.

    depth: the number of nested containers that are converted item by item.
    """
    try:
        if isinstance(value, str):
            value = masked(value)
        if depth and isinstance(value, dict):
            return {text_of(name): plain(one, depth - 1) for name, one in value.items()}
        if depth and isinstance(value, list | tuple):
            return [plain(one, depth - 1) for one in value]
        built = msgspec.to_builtins(value, str_keys=True)
        if msgspec.json.decode(as_json(built)) == built:
            return built
    except BaseException as raised:  # also for text that UTF-8 cannot encode
        let_through(raised)
    return repr_of(value)


def _classes() -> dict[str, type[ActoriumError]]:
    """Return every class of the hierarchy by its name; if several share a name, the one nearest to the root."""
    found: dict[str, type[ActoriumError]] = {}
    waiting = deque([ActoriumError])
    while waiting:
        one = waiting.popleft()
        found.setdefault(one.__name__, one)
        waiting.extend(one.__subclasses__())
    return found


def _fields_of(error_class: type[ActoriumError], fields: dict[str, Any]) -> dict[str, Any] | None:
    """Return attributes with the types that a class declares; None if they do not fit it."""
    try:
        hints = get_type_hints(error_class)
        found = {name: msgspec.convert(value, hints.get(name, Any)) for name, value in fields.items()}
    except (NameError, msgspec.ValidationError):
        return None
    return found if all(name in found or hasattr(error_class, name) for name in hints) else None
