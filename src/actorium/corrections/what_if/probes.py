"""`Probes`: commands that nobody sent, on the states of a run: they show checks that code no longer makes.

A log has no trace of a command that was refused. So variants of recorded commands, with values at the edge of their
types, are decided on the state of that moment, without effect. Two runs with different code ask the same questions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec

from actorium.actors.commands import Command, command_type_of
from actorium.corrections.what_if.decisions import Decision, States
from actorium.store.errors import InvalidCommand
from actorium.store.events import Metadata

_FIRST = 3
"""So many commands of each class are probed first, then each time their number has doubled."""
_LARGE = 10**15


class Probes:
    """The questions of one run, and their answers by command id and variant."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._seen: dict[str, int] = {}
        self.answers: dict[str, Decision] = {}

    def ask(self, command_id: str, command: Command, metadata: Metadata) -> None:
        """Ask about the variants of a command that is about to be decided, if it is this one's turn."""
        name = command_type_of(type(command))
        seen = self._seen[name] = self._seen.get(name, 0) + 1
        if seen > _FIRST and seen & (seen - 1):
            return
        state = self._states.state(self._states.stream_of(command))
        for label, variant in _variants(command):
            try:
                copied = copy.deepcopy(state)
                self.answers[f"{name} with {label}, {command_id}"] = self._states.decide(
                    variant, metadata, copied
                ).decision
            except InvalidCommand:
                continue


def _variants(command: Command) -> Iterator[tuple[str, Command]]:
    for field in msgspec.structs.fields(command):
        if field.name == "to":
            continue
        value = getattr(command, field.name)
        for other in _edges(value):
            if other != value:
                yield f"{field.name}={other!r}", msgspec.structs.replace(command, **{field.name: other})


def _edges(value: Any) -> tuple[Any, ...]:
    """Return the values at the edge of a value's type."""
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return (0, -1, -value, _LARGE)
    if isinstance(value, float):
        return (0.0, -1.0, -value, float(_LARGE))
    if isinstance(value, str):
        return ("",)
    return ()
