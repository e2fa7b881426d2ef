"""`IntentKey`: the name of one thing that is to be carried out, and where it stands in the agenda."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actorium.sagas.model.events import IssuedCommand


class IntentKey(msgspec.Struct, frozen=True, gc=False):
    """A step of a saga (`owner` is the saga's type, `id` the saga, `key` the step), or a submitted command.

    Of a submitted command `id` is the command's own id, and `key` is empty.
    """

    owner: str
    id: str
    key: str

    def command_id(self, index: int) -> str:
        """Return the id of the command at a place of the intent: the same at every attempt, after every crash."""
        return f"{self.owner}/{self.id}/{self.key}/{index}" if self.key else self.id

    def __str__(self) -> str:
        return f"{self.owner}<{self.id}> {self.key}"


class Intent(msgspec.Struct, frozen=True, gc=False):
    """What an intent consists of: the commands still waited for, by place, or an effect.

    flow_id, causation_id, headers: the metadata of its commands.
    """

    step: str
    undo: bool
    commands: dict[int, IssuedCommand]
    effect: bool
    flow_id: str
    causation_id: str
    deadline_us: int = 0
    headers: Mapping[str, str] | None = None
