"""`SagaState`: the fields that every saga has, and the check of the fields that a class adds."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from actorium.actors.annotations import HandlerMeta, refuse_reserved
from actorium.store.errors import ConfigurationError

_RESERVED = ("id", "reason", "ended", "saga_type", "begins_at", "renamed_steps", "on_start_again", "alarm_after_s")


def _require_defaults(saga_class: type[msgspec.Struct]) -> None:
    """Raise ConfigurationError for a field without a default."""
    names, defaults = saga_class.__struct_fields__, saga_class.__struct_defaults__
    padded = (*[msgspec.NODEFAULT] * (len(names) - len(defaults)), *defaults)
    for name, default in zip(names, padded, strict=True):
        if default is msgspec.NODEFAULT:
            raise ConfigurationError(_without_default(saga_class.__name__, name))


def _without_default(saga: str, field: str) -> str:
    """Return the error text for a field without a default."""
    return f"{saga}.{field} has no default: a saga starts empty, so give the field a default"


class SagaMeta(HandlerMeta):
    """Checks the defaults of a saga class's fields, which are known only when the class is complete."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        refuse_reserved(name, namespace.get("__annotations__", {}) if bases[0] is not msgspec.Struct else {}, _RESERVED)
        try:
            saga_class: Any = super().__new__(mcls, name, bases, namespace, **options)
        except TypeError as error:
            if "cannot follow optional fields" not in str(error):
                raise
            field = str(error).split("'")[1] if "'" in str(error) else str(error).split("`")[1]
            raise ConfigurationError(_without_default(name, field)) from error
        _require_defaults(saga_class)
        return saga_class


class SagaState(msgspec.Struct, kw_only=True, metaclass=SagaMeta):
    """The fields and declarations of every saga: its id, why it compensates, and how its own code ended it."""

    saga_type: ClassVar[str] = ""
    begins_at: ClassVar[Literal["now", "beginning"]] = "now"
    renamed_steps: ClassVar[dict[str, str]] = {}
    on_start_again: ClassVar[Literal["ignore", "refuse"]] = "ignore"
    alarm_after_s: ClassVar[float | None] = None

    id: str = ""
    reason: str = ""
    ended: str = ""
