"""`IntentKey`: identifies one intent, and names its rows in the agenda."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actorium.runtime.commands.derived_ids import DerivedId, bounded, derived_id
from actorium.sagas.model.events import IssuedCommand, StepIssued
from actorium.store.events import Event, RecordedEvent

ID_FORM = 1
"""The form of command ids for newly recorded intents."""


class IntentKey(msgspec.Struct, frozen=True, gc=False):
    """A step of a saga (`owner` is the saga's type, `id` the saga, `key` the step), or a submitted command.

    For a submitted command, `id` is the command's own id, and `key` is empty.
    """

    owner: str
    id: str
    key: str

    def effect_key(self, index: int) -> str:
        """Return the name of one effect of the intent: the same on every attempt, after any crash."""
        return bounded(f"{self.owner}/{self.id}/{self.key}/{index}")

    def command_id(self, index: int, id_form: int, round: int = 0) -> DerivedId:
        """Return the id of the command at an index of the intent: the same on every attempt, after any crash.

        id_form: that of the intent. A command issued with 0 keeps the id under which it may have been sent.
        round: how often the command was recorded as not done, each time under its id of that time.
        """
        if not self.key:
            return DerivedId(self.id)
        if round:
            return DerivedId(derived_id(f"{self.owner}/{self.id}/{self.key}/{index}/{round}"))
        key = self.effect_key(index)
        return DerivedId(derived_id(key) if id_form else key)

    def __str__(self) -> str:
        return f"{self.owner}<{self.id}> {self.key}"


class Intent(msgspec.Struct, frozen=True, gc=False):
    """The content of an intent: the commands still waited for, by index, or an effect.

    flow_id, causation_id, headers: the metadata of its commands.
    is_new: none of its commands can have been sent before.
    """

    step: str
    undo: bool
    commands: dict[int, IssuedCommand]
    effect: bool
    flow_id: str
    causation_id: str
    deadline_us: int = 0
    headers: Mapping[str, str] = {}
    id_form: int = ID_FORM
    rounds: tuple[int | None, ...] = ()
    is_new: bool = False

    def command_id(self, key: IntentKey, index: int) -> DerivedId:
        """Return the id of the command at an index; `key` is that of this intent."""
        return key.command_id(index, self.id_form, (self.rounds[index] or 0) if self.rounds else 0)


def issued_intent(recorded: RecordedEvent[Event], event: StepIssued) -> Intent:
    """Return the intent that a new event records: all commands that it sends are waited for."""
    metadata = recorded.metadata
    return Intent(
        event.step,
        event.undo,
        event.sent,
        event.effect,
        metadata.flow_id,
        recorded.event_id,
        event.deadline_us,
        metadata.headers,
        event.id_form,
        event.rounds,
        not event.rounds,
    )
