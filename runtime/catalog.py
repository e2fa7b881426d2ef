"""`Catalog`: the classes and functions that a runtime was given, checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from actorium.actors.aggregate import Aggregate
from actorium.actors.commands import Command
from actorium.runtime.processors.reactions import Reaction, reaction_of
from actorium.runtime.projections.projection import Projection
from actorium.store.codec import EventCodec
from actorium.store.errors import ConfigurationError
from actorium.store.events import Event


class Publisher(Protocol):
    """A part that a layer above knows and that follows events of some types: an outlet."""

    name: str
    types: frozenset[type[Event]]


Part = type[Aggregate] | type[Projection] | Callable[..., Any] | Publisher
"""What a runtime is made of: classes of aggregates, projections and sagas, `@react` functions, outlets."""


def refuse_twice(parts: Sequence[Part]) -> None:
    """Raise ConfigurationError for a part that is given more than once."""
    for index, part in enumerate(parts):
        if any(part is other for other in parts[:index]):
            raise ConfigurationError(f"{_shown(part)} is given twice: a runtime takes each of its parts once")


class Catalog:
    """What a runtime runs."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        processes: Sequence[type[Aggregate]] = (),
        followed: Sequence[type[Event]] = (),
    ) -> None:
        self.processes = list(processes)  # aggregates of the runtime's own, whose commands nobody sends by type
        self.aggregates: list[type[Aggregate]] = []
        self.projections: list[type[Projection]] = []
        self.reactions: list[Reaction] = []
        self._names: dict[tuple[str, str], object] = {}
        self._commands: dict[type[Command], type[Aggregate]] = {}
        events: dict[type[Event], None] = dict.fromkeys(followed)
        for part in parts:
            events.update(dict.fromkeys(self._add(part)))
        for process in processes:
            self._name("streams", process.__definition__.stream_type, process, "another name")
            events.update(dict.fromkeys(process.__definition__.evolvers))
        if not self.aggregates:
            raise ConfigurationError("a runtime needs at least one aggregate class: Runtime([Account], store=…)")
        self.codec = EventCodec(events)

    def _add(self, part: object) -> Sequence[type[Event]]:
        """Take one part; return the events that it handles."""
        reaction = reaction_of(part)
        if reaction is not None:
            self._name("reactions", reaction.name, part, 'its own name: @react(…, name="…")')
            self.reactions.append(reaction)
            return reaction.handler.event_classes
        if isinstance(part, type) and issubclass(part, Projection) and part is not Projection:
            definition = part.__definition__
            definition.require_state()
            # SQLite does not tell capitals from small letters in names of tables.
            self._name("projections", definition.name.lower(), part, 'its own projection_name = "…"')
            self.projections.append(part)
            return tuple(definition.handlers)
        if isinstance(part, type) and issubclass(part, Aggregate) and part is not Aggregate:
            return self._add_aggregate(part)
        raise ConfigurationError(
            f"{part!r} is no Aggregate class, no Projection class and no @react function: Runtime takes classes, not "
            "instances"
        )

    def _add_aggregate(self, aggregate: type[Aggregate]) -> Sequence[type[Event]]:
        definition = aggregate.__definition__
        definition.require_defaults()
        self._name("streams", definition.stream_type, aggregate, 'its own stream_type = "…"')
        for command in definition.handlers:
            holder = self._commands.setdefault(command, aggregate)
            if holder is not aggregate:
                raise ConfigurationError(
                    f"{holder.__qualname__} and {aggregate.__qualname__} both handle {command.__name__}: a command has "
                    "one handler"
                )
        self.aggregates.append(aggregate)
        return tuple(definition.evolvers)

    def _name(self, what: str, name: str, part: object, mend: str) -> None:
        """Hold that no two parts keep the same thing under one name."""
        other = self._names.setdefault((what, name), part)
        if other is not part:
            raise ConfigurationError(
                f"{_shown(other)} and {_shown(part)} both keep {what} of the name {name!r}: give one of them {mend}"
            )


def _shown(part: object) -> str:
    return str(getattr(part, "__qualname__", part))
