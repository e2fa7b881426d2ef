"""`VoidedCommand`: the record that a command of another service did not happen, under the command's own id.

The sender of a command asks for it before it records a failure. One append decides: if the command took effect first,
the record is refused as a duplicate; if not, no copy of the command that is still on its way can take effect.
"""

from __future__ import annotations

from actorium.actors.aggregate import Aggregate, create, evolve
from actorium.actors.commands import Command
from actorium.store.events import Event

VOIDED = "actorium.voided"


class VoidCommand(Command):
    """Record that the command whose id is `to` did not happen."""

    service: str


class CommandVoided(Event):
    """A command that a service sent did not take effect, and can no longer do so."""

    event_type = "command.voided"

    service: str


class VoidedCommand(Aggregate):
    """One command that did not happen; its id is the command's."""

    stream_type = VOIDED

    @create
    def void(self, command: VoidCommand) -> CommandVoided:
        return CommandVoided(command.service)

    @evolve
    def voided(self, event: CommandVoided) -> None:
        pass
